// A WebSocket back end for benches: node echo.ts PORT.
import { createServer } from 'node:net'
import { acceptHead } from '../lib/websocket.ts'
import { echoFrames } from './echo-frames.ts'

const server = createServer({ noDelay: true }, socket => {
  let head = Buffer.alloc(0)
  const open = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    socket.off('data', open)
    socket.write(acceptHead(head.toString('latin1', 0, end + 2)))
    echoFrames(socket, head.subarray(end + 4))
  }
  socket.on('error', () => socket.destroy()).on('data', open)
})
server.listen(Number(process.argv[2]), '127.0.0.1', 4_096)
