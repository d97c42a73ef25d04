import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { ShadowError, systemCode } from '../errors.ts'
import type { ListenAddress } from '../settings.ts'

/** A server that listens; `address` is what it really listens on (port 0 asks for any). */
export type Listening = AsyncDisposable & { readonly address: string; readonly port: number }

const BACKLOG = 4_096

/** Opens the server; fails with `bad-input` where the address cannot be had. */
export async function bind(server: Server, at: ListenAddress): Promise<{ address: string; port: number }> {
  server.listen({ port: at.port, host: at.host, backlog: BACKLOG, reusePort: at.shared === true })
  try {
    await once(server, 'listening')
  } catch (cause) {
    const why = systemCode(cause) === 'EADDRINUSE' ? 'it is in use' : String(cause)
    throw new ShadowError('bad-input', `cannot listen on ${at.host}:${at.port}: ${why}`, { cause })
  }
  const { port } = server.address() as AddressInfo
  const host = at.host.includes(':') ? `[${at.host}]` : at.host
  return { address: `${host}:${port}`, port }
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
