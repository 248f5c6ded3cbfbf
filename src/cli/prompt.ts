import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { CommandError } from './command-error.ts'

/** Asks for a line. `hidden` shows nothing of what is typed. */
export type Ask = (question: string, options?: { hidden?: boolean }) => Promise<string>

/** Questions on the terminal until `close`. Ctrl-C and Ctrl-D end the command. */
function openTerminalPrompt(): { ask: Ask; close(): void } {
  let hidden = false
  const output = new Writable({
    write(chunk, _encoding, done) {
      if (!hidden) process.stdout.write(chunk)
      done()
    },
  })
  const terminal = createInterface({ input: process.stdin, output, terminal: true, historySize: 0 })
  const leaving = new AbortController()
  terminal.once('SIGINT', () => leaving.abort())
  terminal.once('close', () => leaving.abort())
  return {
    async ask(question, { hidden: secret = false } = {}) {
      if (secret) process.stdout.write(question)
      hidden = secret
      try {
        return await terminal.question(question, { signal: leaving.signal })
      } catch {
        throw new CommandError('\nNothing was made.')
      } finally {
        if (secret) process.stdout.write('\n')
        hidden = false
      }
    },
    close: () => terminal.close(),
  }
}

/** Runs `work` with a way to ask people questions. */
export async function withQuestions<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
  const { ask, close } = openTerminalPrompt()
  try {
    return await work(ask)
  } finally {
    close()
  }
}

/** What is piped into the command, line by line. */
export async function readPipedLines(): Promise<string[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  const text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  return text.replace(/\r?\n$/, '').split(/\r?\n/)
}
