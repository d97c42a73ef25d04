// The app of `npm run chaos`, and of journeys that count writes. With DATA it keeps a journal there; without, it keeps nothing.
//
//   POST /append?id=ID   answers once the line is on the volume
//   GET /journal         the whole journal
//
// A line is: CRC-32 of the rest, kind (start, beat, append, stop), id of this run, time in milliseconds, id of the request or "-".
import { randomUUID } from 'node:crypto'
import { open, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { crc32 } from 'node:zlib'

const { APP, DATA, PORT } = process.env
const BEATS_EVERY_MS = 200
const run = randomUUID()
const journal = DATA === undefined ? undefined : await openJournal(`${DATA}/journal`)

/** The journal. Lines that come while others are being written are written together after them. */
async function openJournal(path) {
  const file = await open(path, 'a+')
  let lines = ''
  let writing
  const write = async () => {
    await writing?.catch(() => undefined)
    const now = lines
    lines = ''
    writing = undefined
    next = undefined
    writing = file.appendFile(now).then(() => file.datasync())
    await writing
  }
  let next
  const append = (kind, id = '-') => {
    const text = `${kind} ${run} ${Date.now()} ${id}`
    lines += `${crc32(text).toString(16).padStart(8, '0')} ${text}\n`
    next ??= write()
    return next
  }
  // A machine that lost its power may have left half a line.
  const { size } = await file.stat()
  if (size > 0) {
    const last = Buffer.alloc(1)
    await file.read(last, 0, 1, size - 1)
    if (last.toString() !== '\n') lines = '\n'
  }
  await append('start')
  return { append, read: () => readFile(path) }
}

const beat = () =>
  journal
    ?.append('beat')
    .catch(error => process.stdout.write(`not written: ${error.code}\n`))
    .finally(() => setTimeout(beat, BEATS_EVERY_MS))
beat()

const answer = (response, status, value) => {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ app: APP, run, ...value }))
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://app')
  try {
    if (url.pathname === '/journal') response.end(await journal?.read())
    else {
      const id = url.searchParams.get('id')
      await journal?.append('append', id)
      answer(response, 200, { id })
    }
  } catch (error) {
    answer(response, 500, { error: error.code })
  }
})
server.listen(Number(PORT), '0.0.0.0')
process.on('SIGTERM', async () => {
  await new Promise(resolve => {
    server.close(resolve)
    server.closeIdleConnections()
  })
  await journal?.append('stop').catch(() => undefined)
  process.exit(0)
})
