import type { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { prettyLog } from './log.pretty.node.ts'
import { jsonLog, type Line, type Log } from './log.ts'

/** Lines kept for a reader that does not keep up, in characters. Beyond, they are dropped, and it is said how many. */
const most = 8 * 1024 * 1024
/** How long what is left may take to be read at the end, in ms. */
const patience = 1000

type Lines = {
  write(line: string): void
  /** Hands over what is there without waiting. */
  flush(): void
  /** Resolves when all is handed over, or cannot be. */
  flushed(): Promise<void>
}

/** Writes lines to `stream`: those of one turn of the event loop with one write. A stream that breaks is let go. */
export function linesTo(stream: Writable): Lines {
  let lines = ''
  let dropped = 0
  const flush = () => {
    const text = lines
    lines = ''
    if (text) stream.write(text)
  }
  stream.on('error', () => {})
  return {
    flush,
    write(line) {
      if (lines.length + stream.writableLength > most) {
        dropped += 1
        return
      }
      if (!lines) setImmediate(flush)
      lines += `${line}\n`
      if (dropped === 0) return
      lines += `${JSON.stringify({ level: 'warn', msg: 'log lines were dropped', dropped })}\n`
      dropped = 0
    },
    async flushed() {
      flush()
      const over = new AbortController()
      const written = new Promise<void>((resolve) => void stream.write('', () => resolve()))
      const late = setTimeout(patience, undefined, { signal: over.signal }).catch(() => {})
      await Promise.race([written, late])
      over.abort()
    },
  }
}

type Terminal = Writable & { isTTY?: boolean }

/**
 * The log of a process, on `stream`: in JSON, or for people where one looks at a terminal or the settings say so.
 * `always` is said in every line.
 */
export function nodeLog(config: Config, stream: Terminal, always?: Line): { log: Log } & Pick<Lines, 'flushed'> {
  const { write, flush, flushed } = linesTo(stream)
  // A process that ends in the middle of a turn ends before its lines go out.
  process.on('exit', flush)
  const looked = stream.isTTY === true && config.NODE_ENV !== 'production'
  const log = (config.LOG_FORMAT ?? (looked ? 'pretty' : 'json')) === 'pretty' ? prettyLog : jsonLog
  return { log: log(config.LOG_LEVEL, write, always), flushed }
}
