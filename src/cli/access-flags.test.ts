import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import type { Access, Network, Rate } from '../model/access.ts'
import { anApp, aTask } from '../testing/fake-app.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const rules = {
  allow: ['10.0.0.0/8', '2001:db8::/32'] as Network[],
  deny: ['10.1.2.3'] as Network[],
  rate: '100/s burst 200' as Rate,
}

/** Runs a command line for an app with these rules. Returns its exit code, its terminal and its last call. */
async function access(argv: readonly string[], before?: Access) {
  let app: Record<string, unknown> = { name: 'blog', domains: [], task: {}, ...(before && { access: before }) }
  await using master = await fakeMaster({
    getApp: () => app,
    setAccess: ({ body }) => {
      app = { ...app, access: body }
      return app
    },
    registerApp: ({ body }) => ({ ...app, ...(body as object) }),
  })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const exit = await run(argv, terminal)
  const { name, body, ifMatch } = master.calls.at(-1) ?? {}
  return { exit, terminal, name, body, ifMatch, calls: master.calls.length }
}

describe('shadow access', () => {
  test('shows the rules, and changes none', async () => {
    const told = await access(['access', 'blog'], rules)
    assert.deepEqual([told.exit, told.name], [0, 'getApp'])
    assert.equal(
      told.terminal.stdout,
      'allow  10.0.0.0/8\n       2001:db8::/32\ndeny   10.1.2.3\nrate   100/s burst 200\n',
    )
    const { terminal } = await access(['access', 'blog', '--json'], rules)
    assert.deepEqual(JSON.parse(terminal.stdout), { app: 'blog', access: rules })
  })

  test('says so where there are none', async () => {
    assert.match((await access(['access', 'blog'])).terminal.stdout, /^everybody may use it/)
    const { terminal } = await access(['access', 'blog', '--json'])
    assert.deepEqual(JSON.parse(terminal.stdout).access, { allow: [], deny: [] })
  })

  for (const [line, wanted] of [
    ['--deny ::ffff:1.2.3.4 --deny 1.2.3.4', { ...rules, deny: ['10.1.2.3', '1.2.3.4'] }],
    ['--allow 192.168.0.0/16', { ...rules, allow: [...rules.allow, '192.168.0.0/16'] }],
    ['--forget 2001:DB8::/32 --forget 10.1.2.3', { ...rules, allow: ['10.0.0.0/8'], deny: [] }],
    ['--rate 5/s --rate-per-client 1/m', { ...rules, rate: '5/s', ratePerClient: '1/m' }],
    ['--no-rate', { allow: rules.allow, deny: rules.deny }],
    ['--no-rate-per-client', rules],
    ['--clear', { allow: [], deny: [] }],
    ['--clear --allow 127.0.0.1', { allow: ['127.0.0.1'], deny: [] }],
  ] as const)
    test(`${line} changes what it names and nothing else`, async () => {
      const told = await access(['access', 'blog', ...line.split(' ')], rules)
      assert.equal(told.exit, 0, told.terminal.stderr)
      assert.deepEqual([told.name, told.body, told.ifMatch], ['setAccess', wanted, '"1"'])
    })

  test('tells of every flag that is wrong, and asks the master for nothing then', async () => {
    const flags = '--allow home --deny 10.1.2.3/8 --forget x --rate 100 --rate-per-client 0/s'
    for (const line of [`access blog ${flags}`, `register blog --image x ${flags.replace('--forget x', '')}`]) {
      const told = await access(line.split(' ').filter(Boolean), rules)
      assert.equal(told.exit, 2)
      for (const text of [
        '--allow: "home": it is no IP address',
        '--deny: "10.1.2.3/8"',
        'write 10.0.0.0/8',
        '--rate: "100" is',
      ])
        assert.ok(told.terminal.stderr.includes(text), told.terminal.stderr)
      assert.ok(told.terminal.stderr.includes('--rate-per-client: "0/s" lets no request in'))
      assert.notEqual(told.name, 'setAccess')
      assert.notEqual(told.name, 'registerApp')
    }
  })

  test('rests on the rules it has read, and tries again when they changed meanwhile', async () => {
    let deny = ['1.1.1.1']
    const asked: unknown[] = []
    await using master = await fakeMaster({
      getApp: () => ({ name: 'blog', access: { allow: [], deny } }),
      setAccess: ({ body }) => {
        asked.push((body as Access).deny)
        if (asked.length === 2) return { name: 'blog', access: body }
        deny = ['1.1.1.1', '2.2.2.2']
        throw new ShadowError('changed', 'blog was changed')
      },
    })
    const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
    assert.equal(await run(['access', 'blog', '--deny', '3.3.3.3'], terminal), 0)
    assert.deepEqual(asked, [
      ['1.1.1.1', '3.3.3.3'],
      ['1.1.1.1', '2.2.2.2', '3.3.3.3'],
    ])
  })
})

test('register takes the rules along, so that the app is never open before', async () => {
  const argv = 'register blog --image x --allow 10.0.0.0/8 --rate-per-client 5/s'.split(' ')
  assert.deepEqual((await access(argv)).body, {
    name: 'blog',
    image: 'x',
    access: { allow: ['10.0.0.0/8'], deny: [], ratePerClient: '5/s' },
  })
})

test('status shows the rules beside everything else', async () => {
  await using master = await fakeMaster({
    getApp: () => ({ ...anApp(aTask({ volume: undefined })), access: rules }),
    getInstance: () => {
      throw new ShadowError('not-found', 'no node has it')
    },
  })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  assert.equal(await run(['status', 'blog'], terminal), 0, terminal.stderr)
  assert.match(terminal.stdout, /^access +allow {2}10\.0\.0\.0\/8\n +2001:db8::\/32\n +deny {3}10\.1\.2\.3\n/m)
})
