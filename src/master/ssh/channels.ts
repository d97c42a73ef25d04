import type { Writable } from 'node:stream'
import type { Connection, PseudoTtyInfo, ServerChannel, Session } from 'ssh2'
import type { ClientSession } from '../../api/exec-client.ts'
import { drained } from '../../lib/drained.ts'
import { asShadowError } from '../../lib/errors.ts'
import { SIGNALS, type SignalName, type TerminalSize } from '../../model/exec.ts'
import { SHELL } from '../exec/shell.ts'
import type { OpenSession } from './open-session.ts'
import { serveSftp } from './sftp.ts'

type Options = {
  readonly app: string
  readonly open: OpenSession
  /** Where files of SFTP are kept while they are read or written. */
  readonly spool: string
}

const MOST_CHANNELS = 16
const MOST_VARIABLES = 64
const MOST_VALUE = 4_096
/** The exit code of ssh for errors of its own. */
const FAILED = 255
/** Hosts by which a client that forwards a port means the container. */
const HERE = ['localhost', '127.0.0.1', '::1', '0.0.0.0']

/** Serves the channels of an authenticated connection. */
export function serveChannels(connection: Connection, options: Options): void {
  let count = 0
  /** Counts a channel until its signal aborts; undefined if there are too many. */
  const enter = (): AbortController | undefined => {
    if (count >= MOST_CHANNELS) return undefined
    count += 1
    const closed = new AbortController()
    closed.signal.addEventListener('abort', () => {
      count -= 1
    })
    return closed
  }
  connection.on('session', (accept, reject) => {
    const closed = enter()
    if (closed === undefined) return reject()
    const session = accept()
    session.on('close', () => closed.abort())
    serveSession(session, options, closed.signal)
  })
  connection.on('tcpip', (accept, reject, { destIP, destPort }) => {
    const closed = HERE.includes(destIP) || destIP === options.app ? enter() : undefined
    if (closed === undefined) return reject()
    const serve = async (): Promise<void> => {
      using session = await options.open({ kind: 'tcp', port: destPort }, closed.signal)
      const channel = accept()
      channel.on('error', ignore).on('close', () => closed.abort())
      passInput(channel, session).catch(ignore) // the end of the session tells
      await session.read({ output: (_, bytes) => write(channel, bytes) })
      channel.end()
    }
    serve()
      .catch(() => reject()) // after `accept` it does nothing
      .finally(() => closed.abort())
  })
  // Remote forwarding, agents and X11 are not served: they reach from the container to the client.
  connection.on('request', (_accept, reject) => reject?.())
}

function serveSession(session: Session, options: Options, closed: AbortSignal): void {
  const env: Record<string, string> = {}
  let tty: TerminalSize | undefined
  let running: ClientSession | undefined

  async function run(channel: ServerChannel, command: string[]): Promise<void> {
    channel.on('error', ignore)
    channel.stderr.on('error', ignore)
    let code = FAILED
    try {
      using opened = await options.open({ kind: 'exec', command, env, ...(tty && { tty }) }, closed)
      running = opened
      passInput(channel, opened).catch(ignore) // the end of the session tells
      code = await opened.read({
        output: (stream, bytes) => write(stream === 'stderr' ? channel.stderr : channel, bytes),
      })
    } catch (error) {
      const { message, details } = asShadowError(error)
      const lines = [`shadow: ${message}`, ...(details.hint ? [`hint: ${details.hint}`] : [])]
      channel.stderr.write(lines.map(line => `${line}${tty ? '\r\n' : '\n'}`).join(''))
    }
    if (closed.aborted) return
    channel.exit(code)
    channel.end()
  }

  session.on('env', (accept, reject, { key, val }) => {
    const isTaken = /^(?:LANG|LC_[A-Z]+|TZ|COLORTERM)$/.test(key) && val.length <= MOST_VALUE
    if (!isTaken || Object.keys(env).length >= MOST_VARIABLES) return reject?.()
    env[key] = val.replaceAll('\0', '')
    accept?.()
  })
  session.on('pty', (accept, _reject, info) => {
    tty = sizeOf(info)
    const { term } = info as PseudoTtyInfo & { term?: string }
    if (term && /^[\w.+-]{1,64}$/.test(term)) env['TERM'] = term
    accept?.()
  })
  session.on('window-change', (accept, _reject, info) => {
    tty = sizeOf(info)
    running?.resize(tty).catch(ignore)
    accept?.()
  })
  session.on('signal', (accept, reject, { name }) => {
    if (!(SIGNALS as readonly string[]).includes(name)) return reject?.()
    running?.signal(name as SignalName).catch(ignore)
    accept?.()
  })
  session.on('shell', accept => void run(accept(), [...SHELL]))
  session.on('exec', (accept, _reject, { command }) => void run(accept(), ['sh', '-c', command]))
  session.on('sftp', accept => serveSftp(accept(), { ...options, closed }))
  for (const refused of ['x11', 'auth-agent'] as const)
    (session as NodeJS.EventEmitter).on(refused, (_accept: unknown, reject?: () => void) => reject?.())
}

const sizeOf = ({ cols, rows }: { cols: number; rows: number }): TerminalSize => ({
  columns: Math.min(Math.max(cols, 1), 10_000),
  rows: Math.min(Math.max(rows, 1), 10_000),
})

async function passInput(channel: ServerChannel, session: ClientSession): Promise<void> {
  for await (const bytes of channel) await session.write(bytes as Uint8Array)
  await session.endInput()
}

async function write(stream: Writable, bytes: Uint8Array): Promise<void> {
  if (!stream.write(Buffer.from(bytes))) await drained(stream)
}

const ignore = (): void => undefined
