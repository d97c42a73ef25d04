import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { ShadowError, systemCode } from '../errors.ts'
import { tellUnexpected } from '../last-resort.ts'
import type { ListenAddress } from '../settings.ts'

/** A server that listens; `address` is what it really listens on (port 0 asks for any). */
export type Listening = AsyncDisposable & { readonly address: string; readonly port: number }

const BACKLOG = 4_096
/** How sockets of clients are set; a client that is gone without a word is looked for after so long. */
export const CLIENT_SOCKET = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }

/** Opens the server; fails with `bad-input` where the address cannot be had. */
export async function bind(server: Server, at: ListenAddress): Promise<{ address: string; port: number }> {
  server.listen({ port: at.port, host: at.host, backlog: BACKLOG, reusePort: at.shared === true })
  try {
    await once(server, 'listening')
  } catch (cause) {
    const why = systemCode(cause) === 'EADDRINUSE' ? 'it is in use' : String(cause)
    throw new ShadowError('bad-input', `cannot listen on ${at.host}:${at.port}: ${why}`, { cause })
  }
  // A client that cannot be taken in (no memory, no buffers) is an event of the server; it goes on listening.
  server.on('error', cause => tellUnexpected(cause, 'server'))
  const { port } = server.address() as AddressInfo
  const host = at.host.includes(':') ? `[${at.host}]` : at.host
  return { address: `${host}:${port}`, port }
}

/**
 * How many sockets listen on a port. libuv takes in one connection of each in a turn of its loop (seen with 1.52): with a single one, new
 * clients of a busy thread would wait for its turns, however little they want of it.
 */
export const SOCKETS = process.platform === 'linux' ? 8 : 1

/** Opens servers that do the same on one port; fails with `bad-input` where the address cannot be had. */
export async function bindAll(
  servers: readonly Server[],
  at: ListenAddress,
): Promise<{ address: string; port: number }> {
  const [only] = servers
  if (only !== undefined && servers.length === 1) return bind(only, at)
  // Whether somebody else has the port is found out before it is shared; one that the kernel chooses is nobody's.
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

/** What several may share: fails with `bad-input` where somebody else has it. Port 0 becomes a free one. */
export async function claim(at: ListenAddress): Promise<{ at: ListenAddress; address: string; port: number }> {
  const server = createServer()
  const bound = await bind(server, at)
  await close(server, 0, nothing, nothing)
  return { ...bound, at: { host: at.host, port: bound.port, shared: true } }
}

const nothing = (): void => undefined

/** Closes the server: `drain` tells those it serves to end, `cut` ends those who have not after `drainMs`. */
export async function close(server: Server, drainMs: number, drain: () => void, cut: () => void): Promise<void> {
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  drain()
  const late = setTimeout(cut, drainMs)
  await closed
  clearTimeout(late)
}
