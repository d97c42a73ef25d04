import type { Duplex } from 'node:stream'
import { serverFrame } from '../lib/websocket.ts'

/** Echoes every message of an upgraded socket; it supports small masked frames, as the loads send them. */
export function echoFrames(socket: Duplex, head: Buffer): void {
  let rest: Buffer = Buffer.alloc(0)
  const take = (chunk: Buffer): void => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (rest.length >= 6) {
      const length = (rest[1] ?? 0) & 0x7f
      if (rest.length < 6 + length) return
      const [mask, body] = [rest.subarray(2, 6), rest.subarray(6, 6 + length)]
      socket.write(serverFrame(Buffer.from(body.map((byte, at) => byte ^ (mask[at % 4] ?? 0)))))
      rest = rest.subarray(6 + length)
    }
  }
  take(head)
  socket.on('data', take)
}
