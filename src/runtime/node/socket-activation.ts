import { ConfigError } from '../../config.ts'

/** Where the descriptors begin that systemd hands over (sd_listen_fds(3)). */
const firstSystemdDescriptor = 3

/**
 * The descriptor of the listening socket that systemd handed over to the process `pid`; undefined where there is none.
 * systemd keeps it open, so that connections wait while the service restarts.
 * @throws {ConfigError} where there are several
 */
export function getActivatedSocket({ LISTEN_PID, LISTEN_FDS }: NodeJS.ProcessEnv, pid: number): number | undefined {
  // The variables are left to whatever a process starts in turn.
  if (LISTEN_PID !== `${pid}` || LISTEN_FDS === undefined) return undefined
  if (LISTEN_FDS !== '1')
    throw new ConfigError(`systemd handed over ${LISTEN_FDS} sockets: the unit needs one ListenStream.`)
  return firstSystemdDescriptor
}
