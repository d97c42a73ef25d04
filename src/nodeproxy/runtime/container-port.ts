import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { orAborted } from '../../lib/abort.ts'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { SYSTEM } from '../../lib/exec.ts'
import type { Terminal } from './terminal.ts'

type Where = { readonly app: string; readonly ip: string; readonly port: number; readonly pid: number | undefined }

// Runs in the network namespace of a container: joins stdin and stdout with a port of its loopback.
const BRIDGE = `
const socket = require('node:net').connect({ port: Number(process.argv[1]), host: '127.0.0.1', allowHalfOpen: true })
socket.on('connect', () => { process.stderr.write('.'); process.stdin.pipe(socket); socket.pipe(process.stdout) })
socket.on('error', () => process.exit(1)).on('close', () => process.exit(0))
`
const CONNECTS_WITHIN_MS = 5_000

/**
 * A connection to a TCP port of a container. Where nothing listens on its address, its loopback is tried too: debuggers and databases listen
 * there alone. Fails with `app-unreachable`.
 */
export async function connectTo(where: Where, signal: AbortSignal): Promise<Terminal> {
  const { app, ip, port, pid } = where
  const within = AbortSignal.any([signal, AbortSignal.timeout(CONNECTS_WITHIN_MS)])
  try {
    return terminalOf(await connected(connect({ host: ip, port, allowHalfOpen: true, noDelay: true }), within))
  } catch (cause) {
    signal.throwIfAborted()
    const inside =
      systemCode(cause) === 'ECONNREFUSED' && pid !== undefined ? await loopback(pid, port, within) : undefined
    if (inside !== undefined) return terminalOf(inside)
    throw new ShadowError('app-unreachable', `nothing in the container of ${app} accepts connections on port ${port}`, {
      cause,
    })
  }
}

async function connected(socket: Socket, signal: AbortSignal): Promise<Socket> {
  try {
    await once(socket, 'connect', { signal })
    return socket.on('error', ignore)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** A connection to a port of the loopback in the network namespace of the process; undefined if nothing listens there. */
async function loopback(pid: number, port: number, signal: AbortSignal): Promise<Duplex | undefined> {
  const words = ['--net', '--target', `${pid}`, '--', process.execPath, '-e', BRIDGE, `${port}`]
  const child = spawn('nsenter', words, { env: SYSTEM })
  child.on('error', ignore)
  const ended = once(child, 'close').catch(ignore)
  signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
  const began = once(child.stderr, 'data').then(() => true)
  const isThere = await orAborted(Promise.race([began.catch(() => false), ended.then(() => false)]), signal).catch(
    () => false,
  )
  if (!isThere) {
    child.kill('SIGKILL')
    return undefined
  }
  const duplex = Duplex.from({ readable: child.stdout, writable: child.stdin })
  duplex.on('error', ignore).on('close', () => child.kill('SIGKILL'))
  return duplex
}

function terminalOf(socket: Duplex): Terminal {
  const closed = new Promise<void>(resolve => {
    socket.once('close', () => resolve())
    if (socket.closed) resolve()
  })
  return {
    output: outputOf(socket),
    write: bytes => new Promise((resolve, reject) => socket.write(bytes, error => (error ? reject(error) : resolve()))),
    endInput: () => void socket.end(),
    resize: async () => undefined,
    signal: async () => undefined,
    // When both sides have ended.
    exitCode: () => closed.then(() => 0),
    async end() {
      socket.destroy()
      await closed
    },
  }
}

async function* outputOf(socket: Duplex) {
  try {
    for await (const bytes of socket) yield { stream: 'stdout' as const, bytes: bytes as Uint8Array }
  } catch {
    // a connection that is reset has ended
  }
}

const ignore = (): void => undefined
