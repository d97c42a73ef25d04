// The app of the journeys: an HTTP server on PORT without dependencies. Each route does one thing that apps do.
import { createHash, randomUUID } from 'node:crypto'
import { resolve4 } from 'node:dns/promises'
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { request as ask, createServer } from 'node:http'
import { connect } from 'node:net'
import { hostname } from 'node:os'
import { dirname } from 'node:path'

const { env } = process
const DATA = env.DATA ?? '/data'
const say = line => process.stdout.write(`${line}\n`)
const boot = { id: randomUUID(), at: new Date().toISOString() }
let requests = 0
const downloads = new Map()
const streams = new Set()
const laters = new Set()
const sockets = new Set()
/** @type {import('node:net').Socket | undefined} */
let wire

/** @type {Record<string, (request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse, url: URL) => unknown>} */
const routes = {
  /** The id of this run, and how many requests it has served. */
  '/': (_, response) => json(response, { boot, requests, pid: process.pid }),
  /** Sends the body to the node, over the socket of Shadow: `?method=PUT&path=/v1/busy`. */
  '/socket': (request, response, url) => {
    const { method = 'GET', path = '/v1/instance' } = Object.fromEntries(url.searchParams)
    const asked = ask({ socketPath: env.SHADOW_SOCKET, method, path }, answer => {
      response.writeHead(answer.statusCode, { 'content-type': answer.headers['content-type'] ?? 'text/plain' })
      answer.pipe(response)
    })
    asked.on('error', error => response.writeHead(599).end(String(error)))
    request.pipe(asked)
  },
  /** Sends a line over TCP, and answers with the line that comes back: `?host=db&port=5432&line=all`; 502 with the code of the failure. */
  '/tcp': (_, response, url) => {
    const { host, port, line } = Object.fromEntries(url.searchParams)
    const socket = connect({ host, port: Number(port), timeout: 3000 }, () => socket.write(`${line}\n`))
    socket.once('data', bytes => {
      response.end(bytes)
      socket.destroy()
    })
    socket.on('timeout', () => socket.destroy(Object.assign(new Error('late'), { code: 'ETIMEDOUT' })))
    socket.on('error', error => response.writeHead(502).end(error.code))
  },
  '/robots.txt': (_, response) => response.end(`User-agent: *\n# ${boot.id}\n`),
  /** Its environment, at once or after `?ms=N`. */
  '/env': (_, response, url) => {
    const ms = Number(url.searchParams.get('ms') ?? 0)
    if (ms === 0) json(response, env)
    else setTimeout(() => json(response, env), ms)
  },
  '/headers': (request, response) => json(response, { raw: request.rawHeaders, from: request.socket.remoteAddress }),
  /** The length and the SHA-256 of the request body. */
  '/echo': async (request, response) => {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const chunk of request) {
      hash.update(chunk)
      bytes += chunk.length
    }
    json(response, { method: request.method, bytes, sha256: hash.digest('hex') })
  },
  /** Sends the request body back as it arrives. */
  '/mirror': (request, response) => void request.pipe(response),
  /** `?bytes=N` bytes. */
  '/bytes': async (_, response, url) => {
    let left = Number(url.searchParams.get('bytes') ?? 0)
    response.writeHead(200, { 'content-length': left })
    const chunk = Buffer.alloc(64 * 1024, 'shadow')
    while (left > 0 && !response.destroyed) {
      const piece = chunk.subarray(0, Math.min(left, chunk.length))
      left -= piece.length
      if (!response.write(piece)) await new Promise(resolve => response.once('drain', resolve).once('close', resolve))
    }
    response.end()
  },
  /** A download; `/download/step?id=…` sends more and `/download/end?id=…` ends it. */
  '/download': (_, response, url) => {
    const id = url.searchParams.get('id') ?? 'one'
    downloads.set(id, response)
    response.on('close', () => downloads.delete(id))
    response.writeHead(200, { 'content-type': 'application/octet-stream' }).write('begin\n')
  },
  '/download/step': (_, response, url) => {
    downloads.get(url.searchParams.get('id') ?? 'one')?.write('step\n')
    json(response, { open: downloads.size })
  },
  '/download/end': (_, response, url) => {
    downloads.get(url.searchParams.get('id') ?? 'one')?.end('end\n')
    json(response, { open: downloads.size })
  },
  /** Server-sent events; `/events/send?data=…` sends one to all listeners. */
  '/events': (_, response) => {
    streams.add(response)
    response.on('close', () => streams.delete(response))
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' }).write(': hello\n\n')
  },
  '/events/send': (_, response, url) => {
    for (const stream of streams) stream.write(`data: ${url.searchParams.get('data') ?? ''}\n\n`)
    json(response, { listeners: streams.size })
  },
  /** Answers after `?ms=N`. */
  '/slow': (_, response, url) => setTimeout(() => json(response, { boot }), Number(url.searchParams.get('ms') ?? 0)),
  /** Answers when `/later/now` is requested. */
  '/later': (_, response) => void laters.add(response),
  '/later/now': (_, response) => {
    for (const later of laters) later.end('at last\n')
    json(response, { answered: laters.size })
    laters.clear()
  },
  /** Answers with `?code=N`. */
  '/status': (_, response, url) => response.writeHead(Number(url.searchParams.get('code') ?? 200)).end('as asked\n'),
  /** Cuts the connection before the answer, or with `?after=N` after N bytes of a longer body. */
  '/cut': (request, response, url) => {
    const after = url.searchParams.get('after')
    if (after === null) return request.socket.destroy()
    response.writeHead(200, { 'content-length': 1_000_000 })
    response.write(Buffer.alloc(Number(after), 'x'), () => setTimeout(() => request.socket.destroy(), 20))
  },
  '/exit': (_, response, url) => response.end('bye\n', () => process.exit(Number(url.searchParams.get('code') ?? 0))),
  /** Exits without an answer. */
  '/die': (_, __, url) => process.exit(Number(url.searchParams.get('code') ?? 0)),
  /** Closes its listener for `?ms=N`, as a reload does. It closes it before the answer, so that the next request finds it closed. */
  '/reload': (_, response, url) => {
    response.setHeader('connection', 'close')
    server.close()
    response.end('reloads\n', () => {
      server.closeAllConnections()
      setTimeout(() => server.listen(Number(env.PORT ?? 8000), '0.0.0.0'), Number(url.searchParams.get('ms') ?? 0))
    })
  },
  '/log': (_, response, url) => {
    const { stream = 'stdout', line = '', count = '1' } = Object.fromEntries(url.searchParams)
    for (let i = 0; i < Number(count); i += 1) process[stream].write(`${line.replace('%', String(i))}\n`)
    json(response, {})
  },
  /** Allocates `?bytes=N` of memory and keeps it; with `?after=MS` it answers first, and allocates after that time. */
  '/eat': (_, response, url) => {
    const eat = () => {
      globalThis.eaten = Buffer.alloc(Number(url.searchParams.get('bytes') ?? 0), 1)
    }
    const after = url.searchParams.get('after')
    if (after === null) eat()
    else setTimeout(eat, Number(after))
    json(response, {})
  },
  /** Answers at once, and writes `?chunks=N` of 64 KiB to DATA/`?name`.part, each of them synced. The whole file has the name. */
  '/write': (_, response, url) => {
    const { name, chunks } = Object.fromEntries(url.searchParams)
    const write = async () => {
      const file = await open(`${DATA}/${name}.part`, 'w')
      for (let i = 0; i < Number(chunks); i += 1) {
        await file.write(Buffer.alloc(65_536, i % 251))
        await file.datasync()
      }
      await file.close()
      await rename(`${DATA}/${name}.part`, `${DATA}/${name}`)
    }
    void write()
    json(response, {})
  },
  /** Opens a TCP connection to `?host=&port=` and keeps it; `/wire/say?line=` sends a line on it, and answers with what comes back. */
  '/wire': (_, response, url) => {
    const { host, port } = Object.fromEntries(url.searchParams)
    wire = connect({ host, port: Number(port) }, () => json(response, {}))
    wire.on('error', ({ code }) => {
      if (response.writableEnded) say(`wire: ${code}`)
      else response.writeHead(502).end(code)
    })
  },
  '/wire/say': (_, response, url) => {
    if (wire?.writable !== true) return response.writeHead(502).end('closed\n')
    wire.once('data', bytes => response.end(bytes))
    wire.write(`${url.searchParams.get('line')}\n`)
  },
  /** The addresses of its own name, as the name server of its network tells them. */
  '/lookup': async (_, response) => json(response, await resolve4(hostname())),
}

/** `/files/NAME`: PUT writes it below DATA (synced), GET reads it, DELETE removes it; `/files/` lists. */
async function files(request, response, name) {
  const path = `${DATA}/${name}`
  if (request.method === 'PUT') {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, Buffer.concat(chunks), { flush: true })
    json(response, { written: Buffer.concat(chunks).length })
  } else if (request.method === 'DELETE') {
    await rm(path, { force: true })
    json(response, {})
  } else if (name === '') json(response, await readdir(DATA))
  else response.end(await readFile(path))
}

const json = (response, value) => {
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify(value)}\n`)
}

const server = createServer(async (request, response) => {
  requests += 1
  const url = new URL(request.url ?? '/', 'http://app')
  try {
    if (url.pathname.startsWith('/files/')) await files(request, response, decodeURIComponent(url.pathname.slice(7)))
    else if (routes[url.pathname]) await routes[url.pathname](request, response, url)
    else response.writeHead(404).end('no such route\n')
  } catch (error) {
    response.writeHead(error.code === 'ENOENT' ? 404 : 500).end(`${error}\n`)
  }
})

// WebSocket by hand (RFC 6455): frames up to 65,535 bytes are echoed; `close` closes; `/sockets` returns the number of open ones.
routes['/sockets'] = (_, response) => json(response, { open: sockets.size })
server.on('upgrade', (request, socket, head) => {
  requests += 1
  const key = request.headers['sec-websocket-key']
  if (request.url?.startsWith('/refuse') || !key)
    return socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 7\r\nconnection: close\r\n\r\nrefused')
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  )
  sockets.add(socket)
  socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
  let rest = Buffer.alloc(0)
  const take = chunk => {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const frame = frameOf(rest)
      if (frame === undefined) return
      rest = rest.subarray(frame.size)
      if (frame.opcode === 8) return socket.end(framed(8, frame.payload))
      if (frame.opcode === 9) socket.write(framed(10, frame.payload))
      if (frame.opcode === 1 || frame.opcode === 2) socket.write(framed(frame.opcode, frame.payload))
    }
  }
  socket.on('data', take)
  if (head.length > 0) take(head)
})

function frameOf(bytes) {
  if (bytes.length < 6) return undefined
  const short = bytes[1] & 0x7f
  const begins = short === 126 ? 4 : 2
  if (bytes.length < begins + 4) return undefined
  const length = short === 126 ? bytes.readUInt16BE(2) : short
  const size = begins + 4 + length
  if (bytes.length < size) return undefined
  const mask = bytes.subarray(begins, begins + 4)
  const payload = Buffer.from(bytes.subarray(begins + 4, size)).map((byte, i) => byte ^ mask[i % 4])
  return { opcode: bytes[0] & 0x0f, payload, size }
}

function framed(opcode, payload) {
  const long = payload.length > 125
  const header = Buffer.alloc(long ? 4 : 2)
  header[0] = 0x80 | opcode
  header[1] = long ? 126 : payload.length
  if (long) header.writeUInt16BE(payload.length, 2)
  return Buffer.concat([header, payload])
}

// IGNORE_SIGTERM=1: the app ignores SIGTERM. Otherwise it logs the signal and exits, as an app that saves its state does.
process.on('SIGTERM', () => {
  say('got SIGTERM')
  if (env.IGNORE_SIGTERM !== '1') process.exit(0)
})

say(`booted ${boot.id}`)
if (env.EXIT_AT_BOOT !== undefined) {
  process.stderr.write('cannot go on\n')
  process.exit(Number(env.EXIT_AT_BOOT))
}
// JOURNAL=1: appends a line with the id of this run and the time to DATA/journal, again and again, and prints the time once it is synced.
if (env.JOURNAL === '1') {
  const append = async () => {
    const at = Date.now()
    try {
      await writeFile(`${DATA}/journal`, `${boot.id} ${at}\n`, { flag: 'a', flush: true })
      say(`wrote ${at}`)
    } catch (error) {
      say(`refused ${error.code}`)
    }
    setTimeout(append, 50)
  }
  void append()
}
// LISTEN_WHEN=PATH: listens once the file exists. LISTEN_AFTER_MS: listens after this time.
const listen = () => {
  if (env.LISTEN_WHEN !== undefined && !existsSync(env.LISTEN_WHEN)) return setTimeout(listen, 5)
  server.keepAliveTimeout = 60_000
  server.listen(Number(env.PORT ?? 8000), '0.0.0.0', () => say(`listens on ${env.PORT}`))
}
setTimeout(listen, Number(env.LISTEN_AFTER_MS ?? 0))
