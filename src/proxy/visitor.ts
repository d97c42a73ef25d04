import type { IncomingMessage } from 'node:http'
import { type BlockList, isIPv6 } from 'node:net'

/** Whether the client is a browser that opens a page, and so can be shown one of ours (Fetch Metadata: `Sec-Fetch-Mode`). */
export function isNavigation({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && (headers.accept ?? '').includes('text/html')
}

/** Whether the connection comes from a proxy whose X-Forwarded-* headers are believed. */
export function isTrusted({ socket }: IncomingMessage, trusted: BlockList): boolean {
  const address = socket.remoteAddress ?? ''
  return address !== '' && trusted.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

/** The client's address, for people: what a trusted proxy says of it, else the other end of the connection. */
export function clientOf(request: IncomingMessage, isProxy: boolean): string {
  const told = isProxy ? request.headers['x-forwarded-for'] : undefined
  const first = told?.toString().split(',', 1)[0]?.trim()
  return first || (request.socket.remoteAddress ?? 'unknown').replace(/^::ffff:/, '')
}
