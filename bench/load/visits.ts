import { setTimeout as sleep } from 'node:timers/promises'
import { clientFrame, upgradeHead } from '../lib/websocket.ts'
import { GOOD, get, Line, MEGABYTE, post, type Visit } from './line.ts'
import { secureVisits } from './visits-secure.ts'

/** What visitors do, well-behaved and otherwise; each opens connections of its own and leaves none. */
export const visits: Record<string, Visit> = {
  ...secureVisits,
  'keep-alive': async site => {
    using line = new Line(site)
    for (let count = 0; count < 50; count++) {
      line.send(get(site, '/'))
      await line.until(text => text.endsWith('hello'))
      line.text = ''
    }
    return line.fault ?? GOOD
  },
  pipelining: async site => {
    using line = new Line(site)
    line.send(get(site, '/').repeat(8) + get(site, '/chunks') + get(site, '/', 'Connection: close'))
    await line.closed()
    const answers = line.text.split('HTTP/1.1 200 ').length - 1
    return answers === 10 ? GOOD : `${answers} of 10 answers`
  },
  'a large download': async site => {
    using line = new Line(site)
    line.send(get(site, '/1MB', 'Connection: close'))
    await line.closed()
    return line.body === MEGABYTE ? GOOD : `${line.body} bytes`
  },
  'a slow reader': async site => {
    using line = new Line(site)
    line.send(get(site, '/1MB', 'Connection: close'))
    for (let count = 0; count < 10; count++) {
      line.socket.pause()
      await sleep(50)
      line.socket.resume()
      await sleep(1)
    }
    await line.closed()
    return line.body === MEGABYTE ? GOOD : `${line.body} bytes`
  },
  'a download left early': async site => {
    using line = new Line(site)
    line.send(get(site, '/1MB'))
    await line.until(text => text.length > 20_000)
    return line.fault ?? GOOD
  },
  'gone before the answer': async site => {
    using line = new Line(site)
    line.send(get(site, '/silent'))
    await sleep(20)
    return GOOD
  },
  'an upload': async site => {
    using line = new Line(site)
    line.send(post(site, '/upload', `Content-Length: ${MEGABYTE}`))
    for (let sent = 0; sent < MEGABYTE; sent += 65_536) await line.write('u'.repeat(65_536))
    await line.until(text => text.endsWith(String(MEGABYTE)))
    return line.fault ?? GOOD
  },
  'an upload in chunks': async site => {
    using line = new Line(site)
    line.send(post(site, '/upload', 'Transfer-Encoding: chunked'))
    for (let count = 0; count < 16; count++) await line.write(`1000\r\n${'c'.repeat(4_096)}\r\n`)
    line.send('0\r\n\r\n')
    await line.until(text => text.endsWith('65536'))
    return line.fault ?? GOOD
  },
  'an upload cut': async site => {
    using line = new Line(site)
    line.send(post(site, '/upload', `Content-Length: ${MEGABYTE}`))
    await line.write('u'.repeat(100_000))
    await sleep(20)
    return GOOD
  },
  'an upload in chunks cut': async site => {
    using line = new Line(site)
    line.send(`${post(site, '/upload', 'Transfer-Encoding: chunked')}1000\r\nhalf a chunk`)
    await sleep(20)
    return GOOD
  },
  'an upload answered early': async site => {
    using line = new Line(site)
    line.send(post(site, '/early', `Content-Length: ${4 * MEGABYTE}`))
    for (let sent = 0; sent < 4 * MEGABYTE && !line.text.includes('too large'); sent += 65_536)
      await line.write('u'.repeat(65_536))
    await line.until(text => text.includes('too large'))
    return line.text.startsWith('HTTP/1.1 413 ') ? GOOD : `heard ${JSON.stringify(line.text.slice(0, 60))}`
  },
  'Expect: 100-continue': async site => {
    using line = new Line(site)
    line.send(post(site, '/upload', 'Content-Length: 5\r\nExpect: 100-continue'))
    await line.until(text => text.startsWith('HTTP/1.1 100 '))
    line.send('hello')
    await line.until(text => text.endsWith('5') && text.includes(' 200 '))
    return line.fault ?? GOOD
  },
  'server-sent events': async site => {
    using line = new Line(site)
    line.send(get(site, '/events'))
    await line.until(text => text.split('data: beat').length > 6)
    return line.fault ?? GOOD
  },
  'a WebSocket': async site => {
    using line = new Line(site)
    line.send(upgradeHead(site.hostname))
    await line.until(text => text.includes('\r\n\r\n'))
    line.text = ''
    for (let count = 0; count < 50 && line.fault === undefined; count++) {
      line.socket.write(clientFrame(Buffer.from(`message ${count % 10}`)))
      await line.until(text => text.includes(`message ${count % 10}`))
      line.text = ''
    }
    return line.fault ?? GOOD
  },
  'a WebSocket whose app does not notice that it is over': async site => {
    using line = new Line(site)
    line.send(upgradeHead(site.hostname, '/deaf'))
    await line.until(text => text.includes('\r\n\r\n'))
    await sleep(1_000)
    return line.fault ?? GOOD
  },
  'an app that dies in its answer': async site => {
    using line = new Line(site)
    line.send(get(site, '/dies', 'Connection: close'))
    await line.closed()
    return line.body < MEGABYTE ? GOOD : 'the whole answer'
  },
  'an app that hangs up': async site => {
    using line = new Line(site)
    line.send(post(site, '/silent', 'Content-Length: 0'))
    await line.until(text => text.startsWith('HTTP/1.1 5'))
    return line.fault ?? GOOD
  },
  'a half-closed client': async site => {
    using line = new Line(site)
    line.send(get(site, '/chunks', 'Connection: close'))
    line.socket.end()
    await line.closed()
    // Whoever closes one side may be gone altogether: so no answer is right, and a whole one, but not half of one.
    return line.text === '' || line.text.includes('chunk 7') ? GOOD : `heard ${JSON.stringify(line.text.slice(0, 60))}`
  },
  'a head cut': async site => {
    using line = new Line(site)
    line.send(get(site, '/').slice(0, 30))
    await sleep(10)
    return GOOD
  },
  'HTTP/1.0': async site => {
    using line = new Line(site)
    line.send(get(site, '/chunks').replace('HTTP/1.1', 'HTTP/1.0'))
    await line.closed()
    return line.text.includes('chunk 7') ? GOOD : `heard ${JSON.stringify(line.text.slice(0, 60))}`
  },
  'a malformed head': async site => {
    using line = new Line(site)
    line.send(get(site, '/', 'X-A : b'))
    await line.closed()
    return line.text.startsWith('HTTP/1.1 400 ') ? GOOD : `heard ${JSON.stringify(line.text.slice(0, 60))}`
  },
  'an unknown host': async site => {
    using line = new Line(site)
    line.send(get({ ...site, hostname: 'nobody.example' }, '/'))
    await line.until(text => text.startsWith('HTTP/1.1 404 '))
    return line.fault ?? GOOD
  },
}
