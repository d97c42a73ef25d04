import { setTimeout as sleep } from 'node:timers/promises'
import { clientFrame, upgradeHead } from '../lib/websocket.ts'
import { GOOD, get, MEGABYTE, post, RawConnection, type Visit } from './raw-connection.ts'
import { secureVisits } from './visits-secure.ts'

/** Kinds of visits, well-behaved and otherwise. Each opens connections of its own and leaves none open. */
export const visits: Record<string, Visit> = {
  ...secureVisits,
  'keep-alive': async site => {
    using connection = new RawConnection(site)
    for (let count = 0; count < 50; count++) {
      connection.send(get(site, '/'))
      await connection.until(text => text.endsWith('hello'))
      connection.text = ''
    }
    return connection.fault ?? GOOD
  },
  pipelining: async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/').repeat(8) + get(site, '/chunks') + get(site, '/', 'Connection: close'))
    await connection.closed()
    const answers = connection.text.split('HTTP/1.1 200 ').length - 1
    return answers === 10 ? GOOD : `${answers} of 10 answers`
  },
  'a large download': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/1MB', 'Connection: close'))
    await connection.closed()
    return connection.body === MEGABYTE ? GOOD : `${connection.body} bytes`
  },
  'a slow reader': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/1MB', 'Connection: close'))
    for (let count = 0; count < 10; count++) {
      connection.socket.pause()
      await sleep(50)
      connection.socket.resume()
      await sleep(1)
    }
    await connection.closed()
    return connection.body === MEGABYTE ? GOOD : `${connection.body} bytes`
  },
  'a download left early': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/1MB'))
    await connection.until(text => text.length > 20_000)
    return connection.fault ?? GOOD
  },
  'gone before the answer': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/silent'))
    await sleep(20)
    return GOOD
  },
  'an upload': async site => {
    using connection = new RawConnection(site)
    connection.send(post(site, '/upload', `Content-Length: ${MEGABYTE}`))
    for (let sent = 0; sent < MEGABYTE; sent += 65_536) await connection.write('u'.repeat(65_536))
    await connection.until(text => text.endsWith(String(MEGABYTE)))
    return connection.fault ?? GOOD
  },
  'an upload in chunks': async site => {
    using connection = new RawConnection(site)
    connection.send(post(site, '/upload', 'Transfer-Encoding: chunked'))
    for (let count = 0; count < 16; count++) await connection.write(`1000\r\n${'c'.repeat(4_096)}\r\n`)
    connection.send('0\r\n\r\n')
    await connection.until(text => text.endsWith('65536'))
    return connection.fault ?? GOOD
  },
  'an upload cut': async site => {
    using connection = new RawConnection(site)
    connection.send(post(site, '/upload', `Content-Length: ${MEGABYTE}`))
    await connection.write('u'.repeat(100_000))
    await sleep(20)
    return GOOD
  },
  'an upload in chunks cut': async site => {
    using connection = new RawConnection(site)
    connection.send(`${post(site, '/upload', 'Transfer-Encoding: chunked')}1000\r\nhalf a chunk`)
    await sleep(20)
    return GOOD
  },
  'an upload answered early': async site => {
    using connection = new RawConnection(site)
    connection.send(post(site, '/early', `Content-Length: ${4 * MEGABYTE}`))
    for (let sent = 0; sent < 4 * MEGABYTE && !connection.text.includes('too large'); sent += 65_536)
      await connection.write('u'.repeat(65_536))
    await connection.until(text => text.includes('too large'))
    return connection.text.startsWith('HTTP/1.1 413 ') ? GOOD : `heard ${JSON.stringify(connection.text.slice(0, 60))}`
  },
  'Expect: 100-continue': async site => {
    using connection = new RawConnection(site)
    connection.send(post(site, '/upload', 'Content-Length: 5\r\nExpect: 100-continue'))
    await connection.until(text => text.startsWith('HTTP/1.1 100 '))
    connection.send('hello')
    await connection.until(text => text.endsWith('5') && text.includes(' 200 '))
    return connection.fault ?? GOOD
  },
  'server-sent events': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/events'))
    await connection.until(text => text.split('data: beat').length > 6)
    return connection.fault ?? GOOD
  },
  'a WebSocket': async site => {
    using connection = new RawConnection(site)
    connection.send(upgradeHead(site.hostname))
    await connection.until(text => text.includes('\r\n\r\n'))
    connection.text = ''
    for (let count = 0; count < 50 && connection.fault === undefined; count++) {
      connection.socket.write(clientFrame(Buffer.from(`message ${count % 10}`)))
      await connection.until(text => text.includes(`message ${count % 10}`))
      connection.text = ''
    }
    return connection.fault ?? GOOD
  },
  'a WebSocket whose app does not notice that it is over': async site => {
    using connection = new RawConnection(site)
    connection.send(upgradeHead(site.hostname, '/deaf'))
    await connection.until(text => text.includes('\r\n\r\n'))
    await sleep(1_000)
    return connection.fault ?? GOOD
  },
  'an app that dies in its answer': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/dies', 'Connection: close'))
    await connection.closed()
    return connection.body < MEGABYTE ? GOOD : 'the whole answer'
  },
  'an app that hangs up': async site => {
    using connection = new RawConnection(site)
    connection.send(post(site, '/silent', 'Content-Length: 0'))
    await connection.until(text => text.startsWith('HTTP/1.1 5'))
    return connection.fault ?? GOOD
  },
  'a half-closed client': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/chunks', 'Connection: close'))
    connection.socket.end()
    await connection.closed()
    // A client that closed its side may be gone altogether. So no answer is correct, and a whole answer is, but half of one is not.
    return connection.text === '' || connection.text.includes('chunk 7')
      ? GOOD
      : `heard ${JSON.stringify(connection.text.slice(0, 60))}`
  },
  'a head cut': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/').slice(0, 30))
    await sleep(10)
    return GOOD
  },
  'HTTP/1.0': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/chunks').replace('HTTP/1.1', 'HTTP/1.0'))
    await connection.closed()
    return connection.text.includes('chunk 7') ? GOOD : `heard ${JSON.stringify(connection.text.slice(0, 60))}`
  },
  'a malformed head': async site => {
    using connection = new RawConnection(site)
    connection.send(get(site, '/', 'X-A : b'))
    await connection.closed()
    return connection.text.startsWith('HTTP/1.1 400 ') ? GOOD : `heard ${JSON.stringify(connection.text.slice(0, 60))}`
  },
  'an unknown host': async site => {
    using connection = new RawConnection(site)
    connection.send(get({ ...site, hostname: 'nobody.example' }, '/'))
    await connection.until(text => text.startsWith('HTTP/1.1 404 '))
    return connection.fault ?? GOOD
  },
}
