import type { Writable } from 'node:stream'
import type { z } from 'zod'
import type { MasterClient } from '../../api/client.ts'
import { ClientSession, SESSION_HEADERS } from '../../api/exec-client.ts'
import type { SessionStartSchema } from '../../api/exec-schemas.ts'
import { systemClock } from '../../lib/clock.ts'
import { drained } from '../../lib/drained.ts'
import type { SignalName } from '../../model/exec.ts'
import type { Terminal } from '../terminal.ts'

type Start = z.input<typeof SessionStartSchema>
type Where = { readonly app: string; readonly instance?: string | undefined; readonly wake: boolean }
type Options = Where & {
  readonly start: Start
  /** Whether the input of this process goes to the command. */
  readonly hasInput: boolean
}

/** The exit code of a process that SIGINT has ended. */
const INTERRUPTED = 130

/** Opens a session in the container of an app. */
export function openSession(
  master: MasterClient,
  { app, instance, wake }: Where,
  start: Start,
  clock = systemClock,
): Promise<ClientSession> {
  const query = { wake: wake ? ('true' as const) : ('false' as const), ...(instance !== undefined && { instance }) }
  return ClientSession.open({
    start,
    open: (content, signal) =>
      master.raw('openSession', { params: { app }, query, headers: SESSION_HEADERS, content, signal }),
    clock,
    signal: new AbortController().signal,
  })
}

/** Joins the session with the input and output of this process, until its command has ended; resolves with its exit code. */
export async function runSession(master: MasterClient, terminal: Terminal, options: Options): Promise<number> {
  const { pipes, screen } = terminal
  using session = await openSession(master, options, options.start)
  const onScreen = 'tty' in options.start && options.start.tty !== undefined ? screen : undefined
  using _raw = onScreen?.raw()
  using _resize = onScreen?.onResize(size => void session.resize(size))
  using signals = onScreen === undefined ? passSignals(session) : undefined
  const input = options.hasInput ? passInput(session, pipes.in) : session.endInput()
  input.catch(() => undefined) // the session ends, and says why
  const ended = session.read({
    output: (stream, bytes) => write(stream === 'stderr' ? pipes.err : pipes.out, bytes),
  })
  return await Promise.race([ended, signals?.second ?? ended])
}

async function passInput(session: ClientSession, input: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const bytes of input) await session.write(bytes)
  await session.endInput()
}

/** Passes signals of this process on to the command. The second SIGINT or SIGTERM ends the session, for a command that ignores the first. */
function passSignals(session: ClientSession): Disposable & { readonly second: Promise<number> } {
  const second = Promise.withResolvers<number>()
  let isSecond = false
  const on = (name: SignalName, ends: boolean): [NodeJS.Signals, () => void] => [
    `SIG${name}`,
    () => {
      if (ends && isSecond) second.resolve(INTERRUPTED)
      isSecond ||= ends
      void session.signal(name)
    },
  ]
  const listeners = [on('INT', true), on('TERM', true), on('HUP', true), on('QUIT', false), on('USR1', false)]
  for (const [name, listener] of listeners) process.on(name, listener)
  return {
    second: second.promise,
    [Symbol.dispose]: () => {
      for (const [name, listener] of listeners) process.off(name, listener)
    },
  }
}

async function write(stream: Writable, bytes: Uint8Array): Promise<void> {
  if (!stream.write(Buffer.from(bytes))) await drained(stream)
}
