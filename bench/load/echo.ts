// A WebSocket back end for benches: node echo.ts PORT. Knows small frames that come whole, as the load sends them.
import { createServer } from 'node:net'
import { acceptHead, serverFrame } from '../lib/websocket.ts'

const server = createServer({ noDelay: true }, socket => {
  let open = false
  let rest = Buffer.alloc(0)
  socket.on('error', () => socket.destroy())
  socket.on('data', chunk => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    if (!open) {
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0) return
      socket.write(acceptHead(rest.toString('latin1', 0, end + 2)))
      rest = rest.subarray(end + 4)
      open = true
    }
    while (rest.length >= 6) {
      const length = (rest[1] ?? 0) & 0x7f
      if (rest.length < 6 + length) return
      const [mask, body] = [rest.subarray(2, 6), rest.subarray(6, 6 + length)]
      socket.write(serverFrame(Buffer.from(body.map((byte, at) => byte ^ (mask[at % 4] ?? 0)))))
      rest = rest.subarray(6 + length)
    }
  })
})
server.listen(Number(process.argv[2]), '127.0.0.1', 4_096)
