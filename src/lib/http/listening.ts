import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { ShadowError, systemCode } from '../errors.ts'
import type { ListenAddress } from '../settings.ts'
import { reportUncaught } from '../uncaught-errors.ts'

/** A server that listens. `address` has the real port, also where port 0 asked for any free one. */
export type Listening = AsyncDisposable & { readonly address: string; readonly port: number }

const BACKLOG = 4_096
/** The options of clients' sockets. After `keepAliveInitialDelay` TCP probes a silent client, to find out whether it has gone. */
export const CLIENT_SOCKET = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }

/** Opens the server. Fails with `bad-input` if it cannot listen on the address. */
export async function bind(server: Server, at: ListenAddress): Promise<{ address: string; port: number }> {
  server.listen({ port: at.port, host: at.host, backlog: BACKLOG, reusePort: at.shared === true })
  try {
    await once(server, 'listening')
  } catch (cause) {
    const why = systemCode(cause) === 'EADDRINUSE' ? 'it is in use' : String(cause)
    throw new ShadowError('bad-input', `cannot listen on ${at.host}:${at.port}: ${why}`, { cause })
  }
  // A connection that cannot be accepted (no memory, no buffers) is an `error` event of the server, which goes on listening.
  server.on('error', cause => reportUncaught(cause, 'server'))
  const { port } = server.address() as AddressInfo
  const host = at.host.includes(':') ? `[${at.host}]` : at.host
  return { address: `${host}:${port}`, port }
}

/**
 * How many sockets listen on a port. libuv accepts one connection from each in a turn of its event loop (seen with 1.52). With a single socket, new
 * clients of a busy thread would have to wait for many turns.
 */
export const SOCKETS = process.platform === 'linux' ? 8 : 1

/** Opens several equal servers on one port. Fails with `bad-input` if they cannot listen on the address. */
export async function bindAll(
  servers: readonly Server[],
  at: ListenAddress,
): Promise<{ address: string; port: number }> {
  const [only] = servers
  if (only !== undefined && servers.length === 1) return bind(only, at)
  // A shared port can be bound although another process has it, so that is checked first. A port that the kernel chooses is free.
  const shared = at.shared === true || at.port === 0 ? { ...at, shared: true } : (await claim(at)).at
  const bound: { address: string; port: number }[] = []
  try {
    for (const server of servers) bound.push(await bind(server, { ...shared, port: bound[0]?.port ?? shared.port }))
  } catch (error) {
    for (const server of servers) if (server.listening) server.close()
    throw error
  }
  return bound[0] as { address: string; port: number }
}

/** An address that several servers can share. Fails with `bad-input` if another process has it. Port 0 becomes a free port. */
export async function claim(at: ListenAddress): Promise<{ at: ListenAddress; address: string; port: number }> {
  const server = createServer()
  const bound = await bind(server, at)
  await close(server, 0, nothing, nothing)
  return { ...bound, at: { host: at.host, port: bound.port, shared: true } }
}

const nothing = (): void => undefined

/** Closes the server. `drain` asks its connections to end; `cut` ends those that are left after `drainMs`. */
export async function close(server: Server, drainMs: number, drain: () => void, cut: () => void): Promise<void> {
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  drain()
  const late = setTimeout(cut, drainMs)
  await closed
  clearTimeout(late)
}
