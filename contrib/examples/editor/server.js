// One document, in one process, for everybody who edits it. The text is in memory, and on the volume for the next process of this document.
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'

const FILE = '/data/document.txt'
const WRITTEN_AFTER_MS = 200

let text = readOrEmpty()
let writing

const page = `<!doctype html>
<meta charset="utf-8">
<title>editor</title>
<p>Process <code id="process">${process.pid}-${Date.now()}</code>, <span id="count">0</span> here</p>
<textarea id="text" rows="20" cols="80"></textarea>
<script>
  const field = document.getElementById('text')
  const socket = new WebSocket(new URL('socket', location.href.replace(/^http/, 'ws')))
  socket.onmessage = ({ data }) => {
    const { text, count } = JSON.parse(data)
    if (text !== undefined) field.value = text
    if (count !== undefined) document.getElementById('count').textContent = count
  }
  field.oninput = () => socket.send(field.value)
</script>`

const server = createServer((request, response) => {
  response.setHeader('content-type', request.url === '/' ? 'text/html' : 'text/plain')
  response.statusCode = request.url === '/' ? 200 : 404
  response.end(request.url === '/' ? page : 'not found')
})
const sockets = new WebSocketServer({ server, path: '/socket' })

sockets.on('connection', socket => {
  socket.send(JSON.stringify({ text }))
  tellCount()
  socket.on('close', tellCount)
  socket.on('message', data => {
    text = String(data)
    for (const other of sockets.clients) if (other !== socket) send(other, { text })
    if (writing === undefined) writing = setTimeout(write, WRITTEN_AFTER_MS)
  })
})

process.on('SIGTERM', () => {
  write()
  process.exit(0)
})
server.listen(Number(process.env.PORT))

function tellCount() {
  for (const socket of sockets.clients) send(socket, { count: sockets.clients.size })
}

function send(socket, message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message))
}

function write() {
  writing = undefined
  writeFileSync(FILE, text)
}

function readOrEmpty() {
  try {
    return readFileSync(FILE, 'utf8')
  } catch {
    return '' // a new document
  }
}
