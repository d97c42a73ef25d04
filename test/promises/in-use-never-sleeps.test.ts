import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:http'
import { json, text } from 'node:stream/consumers'
import { describe, test } from 'vitest'
import { Shadow, WAITS } from '../tools/shadow.ts'

const IDLE = { sleep: { idleAfter: '10s' } }
const LONG = 120_000
const STEP = 5_000

/** Sends the app a request that bypasses the front, so that it does not count as use. */
async function behind(shadow: Shadow, app: string, path: string): Promise<unknown> {
  const { container } = await shadow.instance(app)
  const [response] = await once(get(`http://${container?.address}${path}`), 'response')
  return json(response)
}

describe('promise 3, an app in use never sleeps:', () => {
  test('a download of 2 minutes is not cut by an idle limit of 10 seconds, however slowly it drips', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', IDLE)
    const download = await shadow.begin('blog', '/download').response
    for (let at = 0; at < LONG; at += STEP) {
      await shadow.pass(STEP)
      await behind(shadow, 'blog', '/download/step')
    }
    await behind(shadow, 'blog', '/download/end')
    assert.equal(await text(download), `begin\n${'step\n'.repeat(LONG / STEP)}end\n`)
    await shadow.pass(10_000)
    await shadow.until('blog', 'asleep')
  })

  test('an answer that is 2 minutes in coming comes', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', IDLE)
    await shadow.ask('blog')
    const asked = shadow.ask('blog', '/later')
    await shadow.until('blog', ({ holds }) => holds.length === 1)
    await shadow.pass(LONG)
    await behind(shadow, 'blog', '/later/now')
    const { status, text } = await asked
    assert.deepEqual([status, text], [200, 'at last\n'])
  })

  test('an upload of 2 minutes arrives whole', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', IDLE)
    await shadow.ask('blog')
    const { request, response } = shadow.begin('blog', '/echo', { method: 'POST' })
    const hash = createHash('sha256')
    for (let at = 0; at < LONG; at += STEP) {
      const piece = `${at}\n`
      request.write(piece)
      hash.update(piece)
      await shadow.pass(STEP)
    }
    request.end()
    const told = (await json(await response)) as { sha256: string }
    assert.equal(told.sha256, hash.digest('hex'))
  })

  test('server-sent events keep it awake while nobody says a word, and their end lets it sleep', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', IDLE)
    const { request, response } = shadow.begin('blog', '/events')
    const events = (await response).setEncoding('utf8')
    let said = ''
    events.on('data', chunk => {
      said += chunk
    })
    events.on('error', () => undefined) // the test leaves in the middle of the stream
    await shadow.pass(60_000)
    await behind(shadow, 'blog', '/events/send?data=still')
    await once(events, 'data')
    assert.match(said, /data: still\n\n$/)
    assert.equal((await shadow.instance('blog')).phase, 'awake')
    request.destroy()
    await shadow.until('blog', ({ holds }) => holds.length === 0)
    await shadow.pass(10_000)
    await shadow.until('blog', 'asleep')
  })

  test('an open WebSocket keeps it awake, and its closing lets it sleep', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', IDLE)
    const socket = await shadow.webSocket('blog')
    await shadow.pass(LONG)
    socket.send('still')
    assert.equal(String((await once(socket, 'message'))[0]), 'still')
    socket.close()
    await once(socket, 'close')
    await shadow.until('blog', ({ holds }) => holds.length === 0)
    await shadow.pass(10_000)
    await shadow.until('blog', 'asleep')
  })

  test('who waits for a slow start uses the app: it is not put to sleep under them, and they are answered', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { ...IDLE, ...WAITS, startWithin: '10m' })
    const asked = shadow.ask('blog')
    await shadow.untilStarted('blog')
    await shadow.pass(LONG)
    await shadow.letGo('blog')
    const { status, json } = await asked
    assert.deepEqual([status, json.requests], [200, 1])
    assert.equal((await shadow.instance('blog')).phase, 'awake')
  })
})
