import assert from 'node:assert/strict'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { isCode, Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

async function cli(...words: string[]): Promise<FakeTerminal> {
  const env = { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken }
  const terminal = new FakeTerminal({ env, now: shadow.clock.wall() })
  assert.equal(await run(words, terminal), 0, terminal.stderr)
  return terminal
}

async function refused(app: string): Promise<void> {
  const { status, headers } = await shadow.ask(app)
  assert.deepEqual([status, headers['x-shadow-error'], headers['x-shadow-state']], [503, 'app-paused', 'paused'])
}

describe('a paused app', () => {
  test('is put to sleep, is woken by nothing, says why, and has its data when it is resumed', async () => {
    await shadow.register('blog', { volume: { size: '16MiB' }, sleep: { idleAfter: 'never' } })
    await shadow.ask('blog', '/files/kept', { method: 'PUT', body: 'as it was' })
    const said = await cli('pause', 'blog', '--why', 'no money')
    assert.match(said.stdout, /^blog is asleep, and paused since \S+ by admin of \S+: no money$/m)
    assert.match(said.stderr, /nothing wakes it until: shadow resume blog/)
    assert.deepEqual(await shadow.containers('blog'), [])

    await refused('blog')
    await assert.rejects(shadow.wake('blog'), isCode('app-paused', /paused since .* by admin of .*: no money/))
    await assert.rejects(shadow.webSocket('blog'))
    const { stdout: why } = await cli('why', 'blog')
    assert.match(why, /Nothing wakes it: it is paused since .*no money \(shadow resume blog\)\./)
    assert.match((await cli('status', 'blog')).stdout, /^paused +paused since .* by admin of .*: no money$/m)
    assert.match((await cli('ps')).stdout, /^blog +asleep, paused +/m)
    const { items, counts } = await shadow.admin.call('getOverview', { query: { phase: 'paused' } })
    assert.deepEqual([items.map(({ app, isPaused }) => [app, isPaused]), counts['paused']], [[['blog', true]], 1])

    // Node and front know it from what they keep.
    await shadow.stop()
    await shadow.startAgain()
    await refused('blog')
    assert.equal((await shadow.instance('blog')).phase, 'asleep')

    assert.match((await cli('resume', 'blog')).stdout, /^blog can be woken: the next request to \S+ does$/m)
    assert.equal((await shadow.ask('blog', '/files/kept')).text, 'as it was')
  })

  test('lets a download that is under way finish', async () => {
    await shadow.register('downloads', { sleep: { drain: '10m' } })
    const download = await shadow.begin('downloads', '/download').response
    const address = (await shadow.instance('downloads')).container?.address
    await shadow.admin.call('pauseApp', { params: { app: 'downloads' }, body: {} })
    await shadow.until('downloads', 'stopping')
    await refused('downloads')
    await fetch(`http://${address}/download/end`)
    let text = ''
    for await (const chunk of download.setEncoding('utf8')) text += chunk
    assert.equal(text, 'begin\nend\n')
    const { stoppedBy, cut } = await shadow.until('downloads', 'asleep')
    assert.deepEqual([stoppedBy, cut ?? 0], ['paused', 0])
  })

  test('takes a release, and runs it once it is resumed; its schedules are skipped', async () => {
    await shadow.register('wiki', { env: { RELEASE: '1' } })
    await shadow.ask('wiki')
    const params = { app: 'wiki' }
    await shadow.admin.call('pauseApp', { params, body: {} })
    await shadow.until('wiki', 'asleep')
    const { task } = await shadow.admin.call('updateApp', { params, body: { env: { RELEASE: '2' } } })
    assert.equal(task.revision, 2)
    await shadow.admin.call('addSchedule', {
      params,
      body: { cron: '* * * * *', action: { kind: 'request', path: '/' } },
    })
    await shadow.pass(61_000)
    await shadow.eventually(async () => {
      const { items } = await shadow.admin.call('listSchedules', { params })
      return items[0]?.runs[0]?.outcome === 'skipped'
    })
    assert.equal((await shadow.instance('wiki')).phase, 'asleep')
    await shadow.admin.call('resumeApp', { params })
    assert.equal((await shadow.ask('wiki', '/env')).json.RELEASE, '2')
  })

  test('that another app uses keeps that one from waking, which says so', async () => {
    await shadow.register('db')
    await shadow.register('site', { uses: ['db'] })
    await shadow.admin.call('pauseApp', { params: { app: 'db' }, body: {} })
    const { status, headers } = await shadow.ask('site')
    assert.deepEqual([status, headers['x-shadow-error']], [503, 'companion-not-ready'])
    await assert.rejects(shadow.wake('site'), isCode('companion-not-ready', /db is paused since/))
    await shadow.admin.call('resumeApp', { params: { app: 'db' } })
    assert.equal((await shadow.ask('site')).status, 200)
  })
})
