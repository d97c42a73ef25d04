import { createHash } from 'node:crypto'

/** The head that accepts an upgrade (RFC 6455, 4.2.2). */
export function acceptHead(requestHead: string): string {
  const key = /^sec-websocket-key: *(\S+)/im.exec(requestHead)?.[1] ?? ''
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
}

/** The head of an upgrade request. */
export function upgradeHead(host: string, path = '/echo'): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  )
}

/** A client's message: one masked frame of at most 125 bytes. */
export function clientFrame(payload: Buffer): Buffer {
  const mask = Buffer.from([7, 77, 177, 17])
  const masked = payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))
  return Buffer.concat([Buffer.from([0x82, 0x80 | payload.length]), mask, masked])
}

/** A server's message: the same without a mask. */
export function serverFrame(payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x82, payload.length]), payload])
}
