import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A program that runs beside the bench. When it was ready, it printed a line of JSON, which is `ready`. */
export type Daemon = AsyncDisposable & {
  readonly pid: number
  readonly ready: Readonly<Record<string, string>>
  /** The time from its start until it was ready. */
  readonly startMs: number
  /** Ends it at once. */
  kill(): Promise<void>
}

/** Starts a program and waits until it is ready. Disposing of the result ends it with the signal. */
export async function startDaemon(
  file: string,
  args: readonly string[],
  { env = {}, signal = 'SIGTERM' }: { env?: Readonly<Record<string, string>>; signal?: NodeJS.Signals } = {},
): Promise<Daemon> {
  const from = performance.now()
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = `${said}${text}`.slice(-4_000)
  })
  const line = await Promise.race([firstLine(child), once(child, 'exit').then(() => undefined)])
  if (line === undefined) throw new Error(`${[file, ...args].join(' ')} ended before it was ready:\n${said}`)
  const startMs = performance.now() - from
  const end = async (by: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(by)
    await ended
  }
  return {
    pid: child.pid ?? 0,
    ready: JSON.parse(line),
    startMs,
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: () => end(signal),
  }
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error('stdout is not a pipe')
  const lines = createInterface({ input: stdout })
  const [line] = await once(lines, 'line')
  lines.close()
  stdout.resume()
  return line
}
