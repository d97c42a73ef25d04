import { once } from 'node:events'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { GOOD, get, MEGABYTE, RawConnection, type Site, type Visit } from './raw-connection.ts'

const STREAMS = 20
const PATIENCE_MS = 20_000

/** Visitors by TLS, with HTTP/1.1 and HTTP/2. */
export const secureVisits: Record<string, Visit> = {
  'keep-alive by TLS': async site => {
    using connection = new RawConnection(site, 'tls')
    for (let count = 0; count < 20; count++) {
      connection.send(get(site, '/'))
      await connection.until(text => text.endsWith('hello'))
      connection.text = ''
    }
    return connection.fault ?? GOOD
  },
  'a large download by TLS': async site => {
    using connection = new RawConnection(site, 'tls')
    connection.send(get(site, '/1MB', 'Connection: close'))
    await connection.closed()
    return connection.body === MEGABYTE ? GOOD : `${connection.body} bytes`
  },
  'a download by TLS left early': async site => {
    using connection = new RawConnection(site, 'tls')
    connection.send(get(site, '/1MB'))
    await connection.until(text => text.length > 20_000)
    return connection.fault ?? GOOD
  },
  'a handshake cut': async ({ tls, hostname }) => {
    using connection = new RawConnection({ port: tls, tls, hostname })
    connection.socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]))
    await sleep(10)
    return GOOD
  },
  'HTTP/2, streams side by side': site =>
    inSession(site, async request => {
      const answers = await Promise.all(Array.from({ length: STREAMS }, () => bytesOf(request('/'))))
      const good = answers.filter(length => length === 'hello'.length).length
      return good === STREAMS ? GOOD : `${good} of ${STREAMS} answers`
    }),
  'HTTP/2, a large download': site =>
    inSession(site, async request => {
      const length = await bytesOf(request('/1MB'))
      return length === MEGABYTE ? GOOD : `${length} bytes`
    }),
  'HTTP/2, an upload': site =>
    inSession(site, async request => {
      const stream = request('/upload', 'POST')
      stream.end(Buffer.alloc(MEGABYTE, 'u'))
      const length = await bytesOf(stream)
      return length === String(MEGABYTE).length ? GOOD : `${length} bytes`
    }),
  'HTTP/2, a stream given up': site =>
    inSession(site, async request => {
      const given = request('/1MB')
      await once(given, 'data')
      given.close(constants.NGHTTP2_CANCEL)
      const length = await bytesOf(request('/'))
      return length === 'hello'.length ? GOOD : `${length} bytes behind it`
    }),
  'HTTP/2, an upload given up': site =>
    inSession(site, async request => {
      const stream = request('/upload', 'POST')
      stream.write(Buffer.alloc(100_000, 'u'))
      await sleep(20)
      stream.close(constants.NGHTTP2_CANCEL)
      return GOOD
    }),
  'HTTP/2, gone in the middle': site =>
    inSession(site, async (request, session) => {
      await once(request('/1MB'), 'data')
      session.destroy()
      return GOOD
    }),
}

type Request = (path: string, method?: 'GET' | 'POST') => ClientHttp2Stream

async function inSession(
  { tls, hostname }: Site,
  visit: (request: Request, session: ClientHttp2Session) => Promise<string>,
): Promise<string> {
  const session = connect(`https://127.0.0.1:${tls}`, { servername: hostname, rejectUnauthorized: false })
  const fault = new Promise<string>(resolve => {
    session.on('error', error => resolve(`session: ${error.message}`))
    session.setTimeout(PATIENCE_MS, () => resolve(`nothing for ${PATIENCE_MS} ms`))
  })
  const request: Request = (path, method = 'GET') =>
    session
      .request({ ':path': path, ':method': method, ':authority': hostname }, { endStream: method === 'GET' })
      .on('error', () => undefined) // the answer is incomplete then, which is checked
  try {
    return await Promise.race([visit(request, session), fault])
  } catch (error) {
    return String(error)
  } finally {
    session.destroy()
  }
}

async function bytesOf(stream: ClientHttp2Stream): Promise<number> {
  let length = 0
  stream.on('data', chunk => {
    length += chunk.length
  })
  await once(stream, 'close')
  return length
}
