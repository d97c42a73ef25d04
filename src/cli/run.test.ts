import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { volumeLost } from '../model/volume-lost.ts'
import { NOW, shadow } from '../testing/cli.ts'
import { type Answers, FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

let home: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'shadow-cli-'))
})
afterAll(() => rm(home, { recursive: true }))

const task = {
  app: 'blog',
  revision: 3,
  image: 'ghost',
  env: { SECRET: 'hush' },
  port: 8000,
  volume: { id: 'blog', size: '1GiB', path: '/data' },
  limits: { memory: '512MiB', cpus: 1, pids: 512 },
  ready: { kind: 'port' },
  startWithin: '60s',
  sleep: { idleAfter: '5m', grace: '10s', webSockets: 'hold' },
  createdAt: '2026-11-20T10:00:00Z',
}
const blog = { name: 'blog', domains: ['blog.localhost'], task, createdAt: '', updatedAt: '' }
const idle = { ...blog, name: 'wiki', domains: ['wiki.localhost', 'w.localhost'] }
const awake = {
  app: 'blog',
  instance: 'blog',
  node: 'n1',
  phase: 'awake',
  since: '2026-11-21T11:57:00Z',
  revision: 3,
  waiting: 0,
  holds: [],
  sleepsAt: '2026-11-21T12:02:30Z',
  wokenBy: 'GET / from 203.0.113.7',
  stoppedBy: null,
  lastWake: { ms: 311.7, steps: { mount: 5.2, start: 240, ready: 31 } },
  badAnswer: null,
  held: [],
  problem: null,
  failures: 0,
  retryAt: null,
  container: { id: '0123456789abcdef', address: '172.20.0.2:8000' },
}

const unknownApp = () => {
  throw new ShadowError('app-not-found', 'no app "blgo"')
}

test('ps shows every app, those without an instance as asleep', async () => {
  const asked: unknown[] = []
  const answers = {
    listApps: ({ query }: { query: Readonly<Record<string, unknown>> }) => {
      asked.push(query['sessions'])
      return { items: [blog, idle], next: null }
    },
    listInstances: () => ({ items: [awake], silent: [] }),
  }
  const { exit, terminal } = await shadow('ps', answers)
  assert.equal(exit, 0)
  assert.equal(
    terminal.stdout,
    `NAME  STATE   RELEASE  FOR  NODE  SLEEPS-IN  DOMAINS
blog  awake   3        3m   n1    2m30s      blog.localhost
wiki  asleep  -        -    -     -          wiki.localhost w.localhost
`,
  )
  const asJson = await shadow('ps --json', answers)
  await shadow('ps --sessions', answers)
  assert.deepEqual(asked, ['without', 'without', undefined])
  assert.deepEqual(JSON.parse(asJson.terminal.stdout), {
    apps: [
      {
        name: 'blog',
        phase: 'awake',
        releases: [3],
        since: awake.since,
        node: 'n1',
        sleepsAt: awake.sleepsAt,
        domains: ['blog.localhost'],
        isParked: false,
        isPaused: false,
      },
      {
        name: 'wiki',
        phase: 'asleep',
        releases: [],
        since: null,
        node: null,
        sleepsAt: null,
        domains: idle.domains,
        isParked: false,
        isPaused: false,
      },
    ],
    silent: [],
  })
})

test('ps shows one of several instances of an app in a row of its own, below the plain one', async () => {
  const second = { ...awake, instance: 'blog.b', node: 'n2' }
  const { terminal } = await shadow('ps', {
    listApps: () => ({ items: [blog], next: null }),
    listInstances: () => ({ items: [second], silent: [] }),
  })
  assert.equal(
    terminal.stdout,
    `NAME    STATE   RELEASE  FOR  NODE  SLEEPS-IN  DOMAINS
blog    asleep  -        -    -     -          blog.localhost
blog.b  awake   3        3m   n2    2m30s      blog.localhost
`,
  )
})

test('ps reads all pages of apps', async () => {
  const answers: Answers = {
    listApps: ({ query }) =>
      query['after'] === 'blog' ? { items: [idle], next: null } : { items: [blog], next: 'blog' },
    listInstances: () => ({ items: [], silent: [] }),
  }
  const { terminal } = await shadow('ps --json', answers)
  assert.deepEqual(
    JSON.parse(terminal.stdout).apps.map(({ name }: { name: string }) => name),
    ['blog', 'wiki'],
  )
})

test('ps does not call an app asleep while a node is silent', async () => {
  const { terminal } = await shadow('ps', {
    listApps: () => ({ items: [blog], next: null }),
    listInstances: () => ({ items: [], silent: ['n2'] }),
  })
  assert.match(terminal.stdout, /^blog {2}unknown/m)
  assert.equal(terminal.stderr, 'node n2 does not answer; what runs there is not shown\n')
})

test('status shows everything of an app but the values of its environment', async () => {
  const answers: Answers = {
    getApp: () => blog,
    getInstance: () => awake,
    getVolume: () => ({
      id: 'blog',
      app: 'blog',
      size: '1GiB',
      lease: { node: 'n1', epoch: 1, until: null },
      createdAt: '',
    }),
    appLogs: () => '{"at":"2026-11-21T11:57:01.500Z","stream":"stdout","line":"listening"}\n',
  }
  const { exit, terminal } = await shadow('status blog', answers)
  assert.equal(exit, 0)
  assert.equal(
    terminal.stdout,
    `app           blog
state         awake since 2026-11-21T11:57:00Z
url           http://blog.localhost/
node          n1
woken by      GET / from 203.0.113.7
last wake     312 ms: mount 5, start 240, ready 31
sleeps at     2026-11-21T12:02:30Z
container     0123456789ab at 172.20.0.2:8000, release 3
revision      3 of 2026-11-20T10:00:00Z
image         ghost
environment   SECRET
port          8000
ready         port within 60s
limits        memory 512MiB, cpus 1, pids 512
sleeps after  5m
volume        blog, 1GiB at /data, on n1

2026-11-21 11:57:01Z   listening
`,
  )
  const document = JSON.parse((await shadow('status blog --json', answers)).terminal.stdout)
  assert.deepEqual(Object.keys(document), [
    'app',
    'urls',
    'instance',
    'instances',
    'problem',
    'volume',
    'schedules',
    'lastLines',
  ])
})

test('an app that never ran has a status too', async () => {
  const { exit, terminal } = await shadow('status blog', {
    getApp: () => ({ ...blog, task: { ...task, volume: undefined } }),
    getInstance: () => {
      throw new ShadowError('not-found', 'no node has it')
    },
  })
  assert.equal(exit, 0)
  assert.match(terminal.stdout, /^state +asleep$/m)
})

test('status shows what it can while the node of the app does not answer', async () => {
  const { exit, terminal } = await shadow('status blog', {
    getApp: () => ({ ...blog, task: { ...task, volume: undefined } }),
    getInstance: () => {
      throw new ShadowError('node-unreachable', 'http://10.0.0.1:8081 does not answer')
    },
  })
  assert.equal(exit, 0)
  assert.match(terminal.stdout, /^state +unknown: http:\/\/10.0.0.1:8081 does not answer$/m)
})

test('logs prints what the app wrote and what happened to it, and NDJSON with --json', async () => {
  const lines = [
    '{"at":"2026-11-21T11:57:01.500Z","stream":"shadow","line":"awake"}',
    '{"at":"2026-11-21T11:57:02.000Z","stream":"stderr","line":"oh"}',
  ].join('\n')
  const answers: Answers = { appLogs: () => `${lines}\n` }
  const { terminal, calls } = await shadow('logs blog -n 5 --since 1h --grep oh|awake', answers)
  assert.equal(terminal.stdout, '2026-11-21 11:57:01Z # awake\n2026-11-21 11:57:02Z   oh\n')
  assert.deepEqual(calls[0]?.query, { tail: '5', since: '1h', grep: 'oh|awake' })
  assert.equal((await shadow('logs blog --json', answers)).terminal.stdout, `${lines}\n`)
})

test('logs -f reads on from its last line where the connection was lost, and shows no line twice', async () => {
  const line = (at: string, text: string) => `${JSON.stringify({ at, stream: 'stdout', line: text })}\n`
  const twice = line('2026-11-21T11:57:02.000Z', 'tick')
  const tries = [
    line('2026-11-21T11:57:01.000Z', 'up') + twice,
    new ShadowError('node-unreachable', 'it restarts'),
    twice + line('2026-11-21T11:57:02.000Z', 'tock') + line('2026-11-21T11:57:03.000Z', 'tick'),
    new ShadowError('app-not-found', 'it was removed'),
  ]
  const { exit, terminal, calls } = await shadow('logs blog -f --grep t', {
    appLogs: () => {
      const next = tries.shift()
      if (next instanceof ShadowError) throw next
      return next
    },
    listApps: () => ({ items: [], next: null }),
  })
  assert.deepEqual(
    terminal.stdout.split('\n').map(shown => shown.slice(23)),
    ['up', 'tick', 'tock', 'tick', ''],
  )
  assert.deepEqual(calls[2]?.query, { follow: 'true', grep: 't', since: '2026-11-21T11:57:02.000Z', tail: '100000' })
  assert.equal(exit, 3)
  assert.match(terminal.stderr, /^the connection was lost; trying again\nthe connection was lost; trying again\n/)
})

test('wake prints the stages of the wake', async () => {
  const { terminal } = await shadow('wake blog', {
    getInstance: () => ({ ...awake, phase: 'asleep' }),
    wakeApp: () => awake,
  })
  assert.equal(terminal.stdout, 'blog is awake on n1\n312 ms: mount 5, start 240, ready 31\n')
})

test('sleep says what became of the app', async () => {
  const { terminal } = await shadow('sleep blog', { sleepApp: () => ({ ...awake, phase: 'asleep' }) })
  assert.equal(terminal.stdout, 'blog is asleep\n')
})

test('an app name that is not known names those that come near, and exits as the table says', async () => {
  const answers = { getApp: unknownApp, listApps: () => ({ items: [blog, idle], next: null }) }
  const { exit, terminal } = await shadow('status blgo', answers)
  assert.equal(exit, 3)
  assert.equal(terminal.stdout, '')
  assert.equal(terminal.stderr, 'error: no app "blgo"\nhint: did you mean blog?\n')
})

test('with --json an error is a problem document on stderr', async () => {
  const { exit, terminal } = await shadow('status blgo --json', {
    getApp: unknownApp,
    listApps: () => ({ items: [], next: null }),
  })
  assert.equal(exit, 3)
  const problem = JSON.parse(terminal.stderr)
  assert.deepEqual([problem.code, problem.status, problem.detail], ['app-not-found', 404, 'no app "blgo"'])
})

test('the faults of a definition are shown field by field', async () => {
  const { exit, terminal } = await shadow('register blog --image ghost', {
    registerApp: () => {
      const faults = [{ field: 'volume.size', message: 'is too small' }]
      throw new ShadowError('bad-input', 'the definition is wrong', { faults })
    },
  })
  assert.equal(exit, 2)
  assert.equal(terminal.stderr, 'error: the definition is wrong\n  volume.size: is too small\n')
})

for (const [line, error] of [
  ['rgister', "unknown command 'rgister'\nhint: did you mean register?"],
  ['help rgister', "unknown command 'rgister'\nhint: did you mean register?"],
  ['volume sl', "unknown command 'sl'\nhint: did you mean ls?"],
  ['register blog --imgae x', "unknown option '--imgae'\nhint: did you mean --image?"],
  ['register blog', 'no image is given for blog\nhint: shadow register NAME --image IMAGE'],
  ['update blog', 'nothing to change was given\nhint: shadow update --help'],
  ['status', "missing required argument 'name'"],
  [
    'token create x --role king',
    "option '--role <role>' argument 'king' is invalid. Allowed choices are admin, node, proxy, owner.",
  ],
] as const) {
  test(`shadow ${line}: exits 2 and says what is wrong`, async () => {
    const { exit, terminal, calls } = await shadow(line)
    assert.equal(exit, 2)
    assert.equal(terminal.stderr, `error: ${error}\n`)
    assert.equal(calls.length, 0)
  })
}

for (const line of ['remove blog', 'remove blog --with-volume', 'volume rm blog']) {
  const answers: Answers = {
    getApp: () => blog,
    getVolume: () => ({}),
    removeApp: () => undefined,
    removeVolume: () => undefined,
  }
  const destroyed = (calls: readonly { name: string }[]): boolean => calls.some(({ name }) => /^remove/.test(name))

  test(`${line} does nothing where nobody can confirm it`, async () => {
    const { exit, terminal, calls } = await shadow(line, answers)
    assert.equal(exit, 2)
    assert.match(terminal.stderr, /nobody is here to confirm it\nhint: add --yes\n$/)
    assert.equal(destroyed(calls), false)
  })

  test(`${line} does nothing when another name is typed`, async () => {
    const { exit, calls } = await shadow(line, answers, ['blgo'])
    assert.equal(exit, 2)
    assert.equal(destroyed(calls), false)
  })

  test(`${line} goes on when the name is typed, or with --yes`, async () => {
    const typed = await shadow(line, answers, ['blog'])
    assert.equal(typed.exit, 0)
    assert.equal(destroyed(typed.calls), true)
    const yes = await shadow(`${line} --yes`, answers)
    assert.equal(yes.exit, 0)
    assert.equal(destroyed(yes.calls), true)
  })
}

test('--add-domain rests on the domains it has read, and tries again when they changed meanwhile', async () => {
  const domains = ['a.test']
  const { exit, calls } = await shadow('update blog --add-domain b.test', {
    getApp: () => ({ ...blog, domains: [...domains] }),
    updateApp: () => {
      if (domains.length === 1) {
        domains.push('c.test')
        throw new ShadowError('changed', 'blog was changed')
      }
      return blog
    },
  })
  assert.equal(exit, 0)
  const updates = calls.filter(({ name }) => name === 'updateApp')
  assert.deepEqual(
    updates.map(({ body, ifMatch }) => [body, ifMatch]),
    [
      [{ domains: ['a.test', 'b.test'] }, '"1"'],
      [{ domains: ['a.test', 'c.test', 'b.test'] }, '"1"'],
    ],
  )
})

test('status and why of an app whose volume is lost say so, and what to do', async () => {
  const answers = {
    getApp: () => blog,
    getVolume: () => ({
      id: 'blog',
      app: 'blog',
      size: '1GiB',
      lease: null,
      createdAt: '',
      lost: { node: 'n1', at: '2026-11-21T12:00:00.000Z' },
    }),
    getInstance: () => {
      throw volumeLost('blog' as AppName, 'n1' as NodeName)
    },
  }
  const why = await shadow('why blog', answers)
  assert.equal(why.exit, 0)
  assert.match(
    why.terminal.stdout,
    /blog is asleep and cannot wake: the volume blog was on the disk of n1, which was removed as lost/,
  )
  assert.match(
    why.terminal.stdout,
    /To mend it: if that machine comes back, let it in again \(shadow node token n1; .* shadow token create n1 --role node/,
  )
  const status = await shadow('status blog', answers)
  assert.match(status.terminal.stdout, /volume-lost: the volume blog was on the disk of n1/)
  assert.match(status.terminal.stdout, /shadow update blog --no-volume/)
})

test('every command has help with an example, on stdout', async () => {
  const groups = new Set([
    'domains',
    'egress',
    'keys',
    'page',
    'volume',
    'secrets',
    'images',
    'token',
    'node',
    'context',
    'cluster',
    'fleet',
    'schedule',
    'budget',
    'port',
    'webhook',
    'template',
    'session',
  ])
  const { verbs } = await import('./commands.ts')
  for (const verb of Object.keys(verbs)) {
    const { exit, terminal } = await shadow(`${verb} --help`)
    assert.equal(exit, 0)
    assert.match(terminal.stdout, groups.has(verb) ? /Commands:/ : /Example:\n {2}.*shadow /, verb)
  }
})

test('the tables of settings and errors are printed, and are JSON with --json', async () => {
  assert.match((await shadow('help settings')).terminal.stdout, /SHADOW_URL +- +URL of the master that the CLI calls/)
  assert.match((await shadow('help errors')).terminal.stdout, /^app-not-found +404 +3 +no app has this name$/m)
  assert.ok(JSON.parse((await shadow('help settings --json')).terminal.stdout).length > 0)
  assert.ok(JSON.parse((await shadow('help errors --json')).terminal.stdout).length > 0)
})

test('the first context becomes the current one, is called by commands, and is kept from other users', async () => {
  await using master = await fakeMaster({
    listApps: () => ({ items: [], next: null }),
    listInstances: () => ({ items: [], silent: [] }),
  })
  const env = { XDG_CONFIG_HOME: join(home, 'config') }
  const say = async (line: string) => {
    const terminal = new FakeTerminal({ env })
    return { exit: await run(line.split(' '), terminal), terminal }
  }
  assert.equal((await say(`context add home --url ${master.url} --token ${FAKE_TOKEN}`)).exit, 0)
  assert.equal((await say('context add away --url http://127.0.0.1:1 --token x')).exit, 0)
  assert.equal((await say('ps')).exit, 0)
  assert.equal((await say('ps --context away')).exit, 7)
  const near = await say('ps --context hoem')
  assert.deepEqual(
    [near.exit, near.terminal.stderr],
    [3, 'error: there is no context "hoem"\nhint: did you mean home?\n'],
  )
  const listed = JSON.parse((await say('context ls --json')).terminal.stdout)
  assert.deepEqual(listed.contexts[0], { name: 'home', url: master.url, current: true })
  assert.equal((await stat(join(home, 'config/shadow/contexts.json'))).mode & 0o777, 0o600)
  assert.equal((await say('context rm home')).exit, 0)
  assert.equal((await say('context use home')).exit, 3)
  assert.equal((await say('context use away')).exit, 0)
  assert.equal((await say('ps')).exit, 7)
})

test('on the machine of a shadow up, the CLI finds URL and token by itself', async () => {
  await using master = await fakeMaster({ getApp: () => blog, getInstance: () => awake })
  const data = join(home, 'data')
  await mkdir(join(data, 'tokens'), { recursive: true })
  await writeFile(join(data, 'tokens/admin'), `${FAKE_TOKEN}\n`)
  await writeFile(join(data, 'up.json'), JSON.stringify({ pid: 1, master: master.url, front: 'http://127.0.0.1:8090' }))
  const terminal = new FakeTerminal({ env: { SHADOW_DATA: data, XDG_CONFIG_HOME: join(home, 'empty') }, now: NOW })
  assert.equal(await run(['why', 'blog'], terminal), 0)
  assert.match(terminal.stdout, /it sleeps in 2m30s, at 2026/)
})

test('where no master is to be found, the error says how to have one', async () => {
  const terminal = new FakeTerminal({ env: { SHADOW_DATA: join(home, 'none'), XDG_CONFIG_HOME: join(home, 'empty') } })
  assert.equal(await run(['ps'], terminal), 7)
  assert.match(terminal.stderr, /no master is known.*\nhint: start one here with shadow up/)
})

test('a master that does not answer is told of, with what to do', async () => {
  const terminal = new FakeTerminal({ env: { SHADOW_URL: 'http://127.0.0.1:1', SHADOW_TOKEN: 'x' } })
  assert.equal(await run(['ps'], terminal), 7)
  assert.match(terminal.stderr, /^error: http:\/\/127.0.0.1:1 does not answer.*\nhint: is it running\?/)
})
