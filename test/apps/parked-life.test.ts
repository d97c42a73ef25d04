import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { builtImage } from '../tools/images.ts'
import { Shadow, until } from '../tools/shadow.ts'

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()
const SHADOW = join(import.meta.dirname, '../../bin/shadow')

let shadow: Shadow

beforeAll(async () => {
  shadow = await Shadow.start()
})

afterAll(() => shadow[Symbol.asyncDispose]())

const park = (app: string) => shadow.admin.call('sleepApp', { params: { app }, query: { to: 'parked' } })
const bootOf = async (app: string): Promise<string> => (await shadow.ask(app)).json.boot.id
const idsOf = async (app: string): Promise<string> => (await shadow.containers(app)).join()

async function cli(line: string): Promise<string> {
  const env = { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken }
  const terminal = new FakeTerminal({ env, now: shadow.clock.wall() })
  assert.equal(await run(line.split(' '), terminal), 0, terminal.stderr)
  return terminal.stdout
}

/** What a command writes that runs beside the app. */
async function inside(app: string, ...command: string[]): Promise<string> {
  const env = { ...process.env, SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken }
  return (await promisify(execFile)(SHADOW, ['exec', app, '--', ...command], { env })).stdout
}

/** Parks the app, and has its next request woken from that. Answers with the id of the container. */
async function wokenFromParked(app: string): Promise<string> {
  await park(app)
  const waiting = await idsOf(app)
  assert.equal((await shadow.ask(app)).status, 200)
  assert.equal(await idsOf(app), waiting)
  return waiting
}

describe('an app that was woken from parked, as one of an ordinary start,', () => {
  test('has its log whole and in order, from the first line on', async () => {
    const image = await builtImage('parked-says', 'RUN true')
    const script = 'i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; exec httpd -f -p 8000 -h /etc'
    await shadow.register('says', { image, command: ['sh', '-c', script] })
    await park('says')
    assert.notEqual((await shadow.ask('says', '/passwd')).status, 502)
    await shadow.untilLogged('says', /^line 1999$/)
    const { body } = await shadow.admin.raw('appLogs', { params: { app: 'says' }, query: { tail: 10_000 } })
    const lines = (await text(body)).split('\n').filter(Boolean)
    const said = lines.map(line => JSON.parse(line).line as string).filter(line => /^line \d+$/.test(line))
    assert.deepEqual(
      said,
      Array.from({ length: 2000 }, (_, at) => `line ${at}`),
    )
  })

  test('has commands beside it with the same environment, and its files', async () => {
    const image = await builtImage(
      'parked-env',
      'ENV FROM_IMAGE=1 OVERRIDDEN=image',
      'RUN mkdir /own; cp /bin/env /own/tells',
    )
    const env = { OVERRIDDEN: 'definition', LINES: 'a\nb=c\n', EMPTY: '', PATH: '/own:/bin' }
    const command = ['httpd', '-f', '-p', '8000', '-h', '/etc']
    await shadow.register('beside', { image, command, env })
    await shadow.admin.call('changeSecrets', { params: { app: 'beside' }, body: { TOKEN: 'of a secret' } })
    const variables = async (): Promise<string> =>
      (await inside('beside', 'env'))
        .split('\n')
        .filter(line => !line.startsWith('HOSTNAME='))
        .sort()
        .join('\n')
    await shadow.wake('beside')
    const ordinary = await variables()
    await shadow.sleep('beside')
    await park('beside')
    await shadow.wake('beside')
    assert.equal(await variables(), ordinary)
    assert.match(ordinary, /TOKEN=of a secret/)
    assert.match(ordinary, /OVERRIDDEN=definition/)
    const folder = await mkdtemp(join(tmpdir(), 'shadow-test-'))
    await writeFile(join(folder, 'file'), 'copied')
    await cli(`cp ${folder}/file beside:/etc/file`)
    await cli(`cp beside:/etc/file ${folder}/back`)
    assert.equal(await readFile(join(folder, 'back'), 'utf8'), 'copied')
    await rm(folder, { recursive: true })
  })

  test('is in the stats, is frozen, and goes on from that', async () => {
    await shadow.register('tiers', { volume: { size: '16MiB' } })
    await wokenFromParked('tiers')
    const boot = await bootOf('tiers')
    const { items } = await shadow.admin.call('listStats', {})
    assert.ok((items.find(({ instance }) => instance === 'tiers')?.memoryBytes ?? 0) > 2 ** 20)
    const frozen = await shadow.admin.call('sleepApp', { params: { app: 'tiers' }, query: { to: 'frozen' } })
    assert.equal(frozen.phase, 'frozen')
    assert.equal(await bootOf('tiers'), boot)
  })

  test('speaks to its node over its socket', async () => {
    const { status } = await shadow.ask('tiers', '/socket')
    assert.equal(status, 200)
  })

  test('gets its grace, and its exit code and a want of memory are told', async () => {
    await shadow.sleep('tiers')
    await wokenFromParked('tiers')
    await shadow.sleep('tiers')
    assert.equal((await shadow.logs('tiers')).filter(({ line }) => line === 'got SIGTERM').length, 2)
    await wokenFromParked('tiers')
    await shadow.ask('tiers', '/exit?code=7')
    assert.equal((await shadow.until('tiers', 'crashed')).problem?.facts?.['exitCode'], 7)
    await shadow.register('hungry', { limits: { memory: '96MiB' } })
    await wokenFromParked('hungry')
    await shadow.ask('hungry', `/eat?bytes=${400 * 2 ** 20}`)
    assert.equal((await shadow.until('hungry', 'crashed')).problem?.facts?.['outOfMemory'], 1)
  })
})

describe('a parked app', () => {
  const kept = async (app: string): Promise<string> => (await shadow.ask(app, '/files/page')).text

  test('has its volume kept, copied, restored and grown', async () => {
    await shadow.register('blog', { volume: { size: '16MiB' } })
    await shadow.ask('blog', '/files/page', { method: 'PUT', body: 'first' })
    await park('blog')
    await shadow.admin.call('takeSnapshot', { params: { volume: 'blog' }, body: { name: 'monday' } })
    await park('blog')
    assert.equal(await kept('blog'), 'first')
    await shadow.ask('blog', '/files/page', { method: 'PUT', body: 'second' })
    await park('blog')
    await cli('fork blog copy')
    assert.equal(await kept('copy'), 'second')
    await park('blog')
    await cli('volume restore blog monday')
    assert.equal(await kept('blog'), 'first')
    await park('blog')
    await cli('volume grow blog 32MiB')
    assert.equal(await kept('blog'), 'first')
    assert.match(await inside('blog', 'df', '-k', '/data'), /\s(2[5-9]|3\d)\d{3}\s/)
  })

  test('runs a later release, an earlier one, and with later secrets', async () => {
    await shadow.register('wiki', { env: { RELEASE: '1' } })
    const release = async (): Promise<unknown> => {
      const { RELEASE, TOKEN } = (await shadow.ask('wiki', '/env')).json
      return [RELEASE, TOKEN]
    }
    await park('wiki')
    await shadow.admin.call('updateApp', { params: { app: 'wiki' }, body: { env: { RELEASE: '2' } } })
    assert.deepEqual(await release(), ['2', undefined])
    await park('wiki')
    await shadow.admin.call('rollbackApp', { params: { app: 'wiki' }, body: { to: 1 } })
    assert.deepEqual(await release(), ['1', undefined])
    await park('wiki')
    await shadow.admin.call('changeSecrets', { params: { app: 'wiki' }, body: { TOKEN: 'new' } })
    assert.deepEqual(await release(), ['1', 'new'])
  })

  test('that is paused has no container, and is woken by nothing', async () => {
    await park('wiki')
    await shadow.admin.call('pauseApp', { params: { app: 'wiki' }, body: {} })
    assert.equal((await shadow.ask('wiki')).status, 503)
    await until(async () => (await idsOf('wiki')) === '' || undefined)
    await shadow.admin.call('resumeApp', { params: { app: 'wiki' } })
    await wokenFromParked('wiki')
  })

  test('is served while its node is cordoned', async () => {
    await park('wiki')
    await shadow.admin.call('cordonNode', { params: { node: shadow.node } })
    assert.equal((await shadow.ask('wiki')).status, 200)
    await shadow.admin.call('uncordonNode', { params: { node: shadow.node } })
  })

  test('leaves no container when it is removed', async () => {
    await park('copy')
    await shadow.admin.call('removeApp', { params: { app: 'copy' }, query: { withVolume: 'true' } })
    await until(async () => (await idsOf('copy')) === '' || undefined)
    await until(async () => !(await shadow.mountsAndDevices()).some(trace => trace.includes('/copy/')) || undefined)
  })

  test.each(['rm --force', 'stop --time 1', 'kill', 'pause'])(
    'whose container somebody ends by docker %s is woken by the next request',
    async words => {
      await park('blog')
      const before = await idsOf('blog')
      await docker(...words.split(' '), before)
      assert.equal(await kept('blog'), 'first')
      assert.notEqual(await idsOf('blog'), before)
      await shadow.sleep('blog')
      await until(async () => (await idsOf('blog')) === '' || undefined)
    },
  )

  test('has its lines followed over its wake', async () => {
    await park('wiki')
    const over = new AbortController()
    const query = { follow: 'true', tail: 0 } as const
    const { body } = await shadow.admin.raw('appLogs', { params: { app: 'wiki' }, query, signal: over.signal })
    const listens = (async () => {
      let all = ''
      for await (const chunk of body.setEncoding('utf8')) {
        all += chunk
        if (all.includes('booted ')) return true
      }
      return false
    })()
    assert.equal((await shadow.ask('wiki')).status, 200)
    assert.equal(await listens, true)
    over.abort()
  })

  test('is woken beside further instances of it', async () => {
    await shadow.register('scaled', {})
    await park('scaled')
    await shadow.admin.call('setScale', { params: { app: 'scaled' }, body: { min: 2, max: 2 } })
    await until(async () => (await shadow.containers('scaled')).length === 2 || undefined)
    assert.equal((await shadow.ask('scaled')).status, 200)
  })

  test('keeps its image when images are pruned, and is woken with it', async () => {
    const image = await builtImage('parked-pruned', 'RUN echo pruned > /own')
    await shadow.register('pruned', { image, command: ['httpd', '-f', '-p', '8000', '-h', '/'] })
    await park('pruned')
    await shadow.admin.call('pruneImages', { body: {} })
    assert.equal((await shadow.ask('pruned', '/own')).text, 'pruned\n')
  })

  test('of 20 is woken beside the others', async () => {
    const apps = Array.from({ length: 20 }, (_, at) => `many-${at}`)
    const limits = { memory: '64MiB' } as const
    for (const app of apps)
      await shadow.register(app, { limits, ...(app < 'many-15' && { volume: { size: '16MiB' } }) })
    const parked = await Promise.allSettled(apps.map(park))
    assert.deepEqual(
      parked.flatMap(one => (one.status === 'rejected' ? [String(one.reason)] : [])),
      [],
    )
    const before = await Promise.all(apps.map(idsOf))
    const answers = await Promise.all(apps.map(app => shadow.ask(app)))
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
    assert.deepEqual(await Promise.all(apps.map(idsOf)), before)
    assert.equal(new Set(answers.map(({ json }) => json.boot.id)).size, apps.length)
    await Promise.all(apps.map(app => shadow.sleep(app)))
    assert.equal((await Promise.all(apps.map(idsOf))).join(''), '')
  })
})
