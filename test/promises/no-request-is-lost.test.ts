import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:http'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { describe, test } from 'vitest'
import { Shadow, WAITS } from '../tools/shadow.ts'

const run = promisify(execFile)

describe('promise 1, no request is lost:', () => {
  test('200 requests at once to a sleeping app start one container, and all are answered by it', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    let starts = 0
    shadow.onStep = (_, step, when) => {
      if (step === 'start' && when === 'before') starts += 1
    }
    const answers = await Promise.all(Array.from({ length: 200 }, () => shadow.ask('blog')))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]))
    assert.equal(new Set(answers.map(({ json }) => json.boot.id)).size, 1)
    assert.equal(starts, 1)
    assert.equal((await shadow.containers('blog')).length, 1)
  })

  test('a POST of 5 MB as the very first request arrives whole', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    const body = randomBytes(5_000_000)
    const { status, json } = await shadow.ask('blog', '/echo', { method: 'POST', body })
    assert.equal(status, 200)
    assert.deepEqual(json, {
      method: 'POST',
      bytes: body.length,
      sha256: createHash('sha256').update(body).digest('hex'),
    })
  })

  test('a WebSocket as the very first request is opened, and talks', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    const socket = await shadow.webSocket('blog')
    socket.send('hello')
    const [said] = await once(socket, 'message')
    assert.equal(String(said), 'hello')
    socket.close()
  })

  test('a request that comes while the app goes to sleep waits, and wakes it again', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { env: { IGNORE_SIGTERM: '1' }, sleep: { idleAfter: '10s', grace: '10m' } })
    const first = await shadow.ask('blog')
    await shadow.pass(10_000)
    await shadow.untilLogged('blog', /got SIGTERM/)
    const asked = shadow.ask('blog')
    const { phase } = await shadow.until('blog', ({ waiting }) => waiting === 1)
    assert.equal(phase, 'stopping')
    shadow.clock.leap(600_000) // the grace ends
    const { status, json } = await asked
    assert.equal(status, 200)
    assert.notEqual(json.boot.id, first.json.boot.id)
  })

  test('a client that leaves while it waits does not stop the wake', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', WAITS)
    const leaves = new AbortController()
    const asked = shadow.ask('blog', '/', { signal: leaves.signal })
    await shadow.untilStarted('blog')
    leaves.abort()
    await assert.rejects(asked)
    await shadow.until('blog', ({ waiting, phase }) => waiting === 0 && phase === 'waking')
    await shadow.letGo('blog')
    await shadow.until('blog', 'awake')
    assert.equal((await shadow.ask('blog')).json.requests, 1)
  })

  test('under load, three deploys in a row lose no request', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { env: { RELEASE: '1' } })
    await shadow.ask('blog')
    let done = false
    const releases: string[][] = []
    // Each step of a deploy waits behind what the requests cost this process. So one visitor requests without a pause, and the requests of the
    // others wait in the app, for longer the slower the machine is: they are all under way at each switch, and leave time to the deploy.
    const load = Array.from({ length: 8 }, async (_, visitor) => {
      const seen: string[] = []
      releases.push(seen)
      let waitMs = 0
      while (!done) {
        const begun = performance.now()
        const { status, json, text } = await shadow.ask('blog', `/env?ms=${waitMs}`)
        assert.equal(status, 200, text)
        seen.push(json.RELEASE)
        const costMs = performance.now() - begun - waitMs
        if (visitor > 0) waitMs = Math.min(Math.ceil(15 * Math.max(1, costMs)), 1_000)
      }
    })
    try {
      for (const release of ['2', '3', '4']) {
        await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { env: { RELEASE: release } } })
        await shadow.until('blog', ({ revision, phase }) => revision === Number(release) && phase === 'awake')
      }
    } finally {
      done = true
      await Promise.all(load)
    }
    assert.equal((await shadow.ask('blog', '/env')).json.RELEASE, '4')
    for (const seen of releases) {
      assert.deepEqual(seen, seen.toSorted(), 'nobody is answered by an older release again')
      assert.ok(new Set(seen).size > 1, 'each visitor has requested it over the deploys')
    }
  })

  test('a deploy lets a download that is under way finish, and answers the next request by the new release', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { env: { RELEASE: '1' }, volume: { size: '16MiB' } })
    const download = await shadow.begin('blog', '/download').response
    const { container } = await shadow.instance('blog')
    await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { env: { RELEASE: '2' } } })
    await shadow.until('blog', 'stopping')
    const next = shadow.ask('blog', '/env')
    await shadow.until('blog', ({ waiting }) => waiting === 1)
    get(`http://${container?.address}/download/end`)
    assert.equal(await text(download), 'begin\nend\n')
    assert.equal((await next).json.RELEASE, '2')
  })

  test('a restart lets what is under way finish, and the next request is answered by the same container', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    const { boot } = (await shadow.ask('blog')).json
    const download = await shadow.begin('blog', '/download').response
    const address = (await shadow.instance('blog')).container?.address
    const stopped = shadow.stop()
    await once(get(`http://${address}/download/step`), 'response')
    get(`http://${address}/download/end`)
    assert.equal(await text(download), 'begin\nstep\nend\n')
    await stopped
    await shadow.startAgain()
    assert.deepEqual((await shadow.ask('blog')).json.boot, boot)
  })

  test('an app that dies in the middle of its answer is an error to the client, and the next request wakes it again', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    const { boot } = (await shadow.ask('blog')).json
    const download = await shadow.begin('blog', '/download').response
    await run('docker', ['kill', ...(await shadow.containers('blog'))])
    await assert.rejects(text(download), { code: 'ECONNRESET' })
    const { status, json } = await shadow.ask('blog')
    assert.equal(status, 200)
    assert.notEqual(json.boot.id, boot.id)
  })
})
