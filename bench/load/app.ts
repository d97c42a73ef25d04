// The app of the soak: node app.ts PORT. Each path does something that apps do, or should not do.
import { createServer, type RequestListener } from 'node:http'
import { acceptHead } from '../lib/websocket.ts'
import { echoFrames } from './echo-frames.ts'

const MEGABYTE = Buffer.alloc(1_048_576, 'x')

const paths: Record<string, RequestListener> = {
  '/': (_request, response) => void response.end('hello'),
  '/1MB': (_request, response) => void response.end(MEGABYTE),
  '/chunks': (_request, response) => {
    for (let count = 0; count < 8; count++) response.write(`chunk ${count}\n`)
    response.end()
  },
  '/upload': (request, response) => {
    let length = 0
    request.on('data', chunk => {
      length += chunk.length
    })
    request.on('end', () => response.end(String(length)))
  },
  '/early': (_request, response) => void response.writeHead(413, { connection: 'close' }).end('too large'),
  '/events': (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const beat = setInterval(() => response.write('data: beat\n\n'), 50)
    response.on('close', () => clearInterval(beat))
  },
  '/dies': (request, response) => {
    response.writeHead(200, { 'content-length': MEGABYTE.length })
    response.write(MEGABYTE.subarray(0, 10_000), () => request.socket.destroy())
  },
  '/silent': request => void setTimeout(() => request.socket.destroy(), 300),
}

createServer((request, response) => {
  request.on('error', () => {}) // the client left, as some clients here do
  const answer = paths[request.url ?? ''] ?? ((_request, unknown) => void unknown.writeHead(404).end())
  answer(request, response)
})
  .on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    // Most apps close when their client has closed; node:http's sockets do not by themselves.
    if (request.url !== '/deaf') socket.on('end', () => socket.end())
    socket.write(acceptHead(`Sec-WebSocket-Key: ${request.headers['sec-websocket-key']}\r\n`))
    echoFrames(socket, head)
  })
  .listen(Number(process.argv[2]), '127.0.0.1', 4_096)
