// A notebook in one file: POST / adds a note, GET / shows them. Notes and a count of its starts are kept in the volume.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'

const data = process.env.DATA ?? '/data'
const notesFile = `${data}/notes.txt`
const startsFile = `${data}/starts`

const read = file => (existsSync(file) ? readFileSync(file, 'utf8') : '')
const starts = Number(read(startsFile)) + 1
writeFileSync(startsFile, `${starts}\n`, { flush: true })

const server = createServer(async (request, response) => {
  if (request.method === 'POST') {
    let note = ''
    for await (const piece of request.setEncoding('utf8')) note += piece
    appendFileSync(notesFile, `${note.trim().replaceAll(/\s+/g, ' ')}\n`, { flush: true })
    return response.writeHead(201, { 'content-type': 'text/plain; charset=utf-8' }).end('noted\n')
  }
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return response.writeHead(405, { allow: 'GET, POST' }).end()
  response.setHeader('content-type', 'text/plain; charset=utf-8')
  response.end(`start ${starts} of this notebook\n${read(notesFile)}`)
})
server.listen(Number(process.env.PORT ?? 8000), () => console.log(`notebook open, start ${starts}`))

process.on('SIGTERM', () => {
  console.log('notebook closed')
  server.close(() => process.exit())
  server.closeIdleConnections()
})
