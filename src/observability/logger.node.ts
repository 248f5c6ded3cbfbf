import type { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import type { Config } from '../config.ts'
import type { LogFields, Logger } from '../context.ts'
import { createPrettyLogger } from './logger.pretty.node.ts'
import { createJsonLogger } from './logger.ts'

/** Lines kept for a reader that does not keep up, in characters. Beyond, they are dropped, and it is said how many. */
const maxBufferedChars = 8 * 1024 * 1024
/** How long what is left may take to be read at the end, in ms. */
const logFlushTimeoutMs = 1000

type LineWriter = {
  write(line: string): void
  /** Hands over what is there without waiting. */
  flush(): void
  /** Resolves when all is handed over, or cannot be. */
  flushAndWait(): Promise<void>
}

/** Writes lines to `stream`: those of one turn of the event loop with one write. A stream that breaks is let go. */
export function createLineWriter(stream: Writable): LineWriter {
  let lines = ''
  let droppedCount = 0
  const flush = () => {
    const text = lines
    lines = ''
    if (text) stream.write(text)
  }
  stream.on('error', () => {})
  return {
    flush,
    write(line) {
      if (lines.length + stream.writableLength > maxBufferedChars) {
        droppedCount += 1
        return
      }
      if (!lines) setImmediate(flush)
      lines += `${line}\n`
      if (droppedCount === 0) return
      lines += `${JSON.stringify({ level: 'warn', msg: 'log lines were dropped', dropped: droppedCount })}\n`
      droppedCount = 0
    },
    async flushAndWait() {
      flush()
      const over = new AbortController()
      const written = new Promise<void>((resolve) => void stream.write('', () => resolve()))
      const late = setTimeout(logFlushTimeoutMs, undefined, { signal: over.signal }).catch(() => {})
      await Promise.race([written, late])
      over.abort()
    },
  }
}

type Terminal = Writable & { isTTY?: boolean }

/**
 * The log of a process, on `stream`: in JSON, or for people where one looks at a terminal or the settings say so.
 * `commonFields` is said in every line.
 */
export function createNodeLogger(
  config: Config,
  stream: Terminal,
  commonFields?: LogFields,
): { logger: Logger } & Pick<LineWriter, 'flushAndWait'> {
  const { write, flush, flushAndWait } = createLineWriter(stream)
  // A process that ends in the middle of a turn ends before its lines go out.
  process.on('exit', flush)
  const isWatched = stream.isTTY === true && config.NODE_ENV !== 'production'
  const create =
    (config.LOG_FORMAT ?? (isWatched ? 'pretty' : 'json')) === 'pretty' ? createPrettyLogger : createJsonLogger
  return { logger: create(config.LOG_LEVEL, write, commonFields), flushAndWait }
}
