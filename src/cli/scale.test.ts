import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import type { InstanceView } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { Scale } from '../model/scale.ts'
import { anApp } from '../testing/fake-app.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { instanceView } from '../testing/fake-node.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const one = (slot: string, node: string, more: Partial<InstanceView> = {}): InstanceView => ({
  ...instanceView('blog', node, 'awake'),
  instance: `blog${slot}` as InstanceId,
  ...more,
})
const instances = [one('.10', 'b'), one('', 'a'), one('.2', 'b', { wokenBy: 'the load: 60 requests at a time' })]
const asleep = one('.3', 'a', { phase: 'asleep' })

/** Runs a command line for an app with these rules. */
async function shadow(line: string, before?: Scale) {
  let app: Record<string, unknown> = { ...anApp(), ...(before && { scale: before }) }
  let changed = 0
  await using master = await fakeMaster({
    getApp: () => app,
    setScale: ({ body }) => {
      if (++changed === 1 && line.includes('--max 9')) throw new ShadowError('changed', 'by somebody else')
      app = { ...app, scale: body }
      return app
    },
    registerApp: ({ body }) => ({ ...app, ...(body as object) }),
    listApps: () => ({ items: [app], next: null }),
    listInstances: () => ({ items: [...instances, asleep], silent: [] }),
    getInstance: () => instances[1],
    getVolume: () => null,
    appLogs: () => '',
  })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const exit = await run(line.split(' '), terminal)
  return { exit, ...terminal, out: terminal.stdout, err: terminal.stderr, calls: master.calls }
}

const rules: Scale = { min: 0, max: 4, concurrency: { soft: 10, hard: 20 } }

describe('shadow scale', () => {
  test('shows the rules, and changes none', async () => {
    const { exit, out, calls } = await shadow('scale blog', rules)
    assert.deepEqual([exit, calls.map(({ name }) => name)], [0, ['getApp']])
    assert.match(out, /^0 to 4 instances; another one above 10 requests in flight or 80 % CPU each, never more than 20/)
    assert.deepEqual(JSON.parse((await shadow('scale blog --json')).out), { app: 'blog', scale: { min: 0, max: 1 } })
  })

  for (const [flags, wanted] of [
    ['--max 8', { ...rules, max: 8 }],
    ['--min 2 --target-cpu 50', { ...rules, min: 2, cpu: 50 }],
    ['--concurrency 1:1', { ...rules, concurrency: { soft: 1, hard: 1 } }],
    ['--concurrency default --max default', { min: 0, max: 1 }],
  ] as const)
    test(`${flags} changes that alone`, async () => {
      const { exit, calls, err } = await shadow(`scale blog ${flags}`, rules)
      assert.deepEqual([exit, err, calls.at(-1)?.body], [0, '', wanted])
    })

  test('is tried again if somebody else changed the app in between', async () => {
    const { exit, calls } = await shadow('scale blog --max 9')
    assert.deepEqual([exit, calls.length, calls.at(-1)?.ifMatch], [0, 4, '"1"'])
  })

  test('all wrong flags are told at once, and nothing is sent', async () => {
    const { exit, err, calls } = await shadow('scale blog --min many --max 0 --concurrency 5 --target-cpu 101', rules)
    assert.deepEqual([exit, calls.map(({ name }) => name)], [2, ['getApp']])
    for (const flag of ['--min: "many"', '--max: "0"', '--concurrency: "5"', '--target-cpu: "101"'])
      assert.match(err, new RegExp(`  ${flag}`))
  })
})

test('an app can be registered with its rules', async () => {
  const sent = async (line: string): Promise<unknown> => (await shadow(line)).calls[0]?.body
  const scale = { min: 0, max: 4, concurrency: { soft: 5, hard: 10 } }
  assert.deepEqual(await sent('register blog --image x --max 4 --concurrency 5:10'), {
    name: 'blog',
    image: 'x',
    scale,
  })
  assert.deepEqual(await sent('register blog --image x'), { name: 'blog', image: 'x' })
})

test('ps, status and why show each instance that is not asleep, with its node', async () => {
  const { out } = await shadow('ps --json', rules)
  assert.deepEqual(
    JSON.parse(out).apps.map(({ name, node }: { name: string; node: string }) => `${name} ${node}`),
    ['blog a', 'blog.2 b', 'blog.10 b'],
  )
  assert.match(
    (await shadow('status blog', rules)).out,
    /instances +blog awake on a, release \d\n +blog.2 awake on b, release \d\n +blog.10 aw/,
  )
  const why = (await shadow('why blog', rules)).out
  assert.match(why, /Its rules: 0 to 4 instances; .* 3 are awake:\n {2}blog is awake on a\n/)
  assert.match(why, /blog\.2 is awake on b, woken by the load: 60 requests at a time\n/)
})
