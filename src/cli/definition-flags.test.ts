import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const app = { name: 'blog', domains: ['blog.localhost'], task: { revision: 2 } }

/** The call that this command line sends to the master. */
async function sent(line: string | readonly string[]): Promise<unknown> {
  await using master = await fakeMaster({ registerApp: () => app, updateApp: () => app })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  assert.equal(await run(typeof line === 'string' ? line.split(' ') : line, terminal), 0, terminal.stderr)
  return master.calls.at(-1)?.body
}

const blog = { name: 'blog', image: 'ghost' }
for (const [flags, wanted] of [
  ['', {}],
  ['--domain a.test --domain b.test', { domains: ['a.test', 'b.test'] }],
  ['--volume 1GiB', { volume: { size: '1GiB' } }],
  ['--volume 1GiB:/srv/db', { volume: { size: '1GiB', path: '/srv/db' } }],
  ['--volume 1GiB --volume-driver pool', { volume: { size: '1GiB', driver: 'pool' } }],
  ['--idle-after never', { sleep: { idleAfter: 'never' } }],
  ['--keep frozen --detach-after 10m', { sleep: { keep: 'frozen', detachAfter: '10m' } }],
  ['--idle-after 5m --grace 3s --ws ignore', { sleep: { idleAfter: '5m', grace: '3s', webSockets: 'ignore' } }],
  ['--env A=1 --env B=x=y --env C=', { env: { A: '1', B: 'x=y', C: '' } }],
  ['--port 3000', { port: 3000 }],
  ['--memory 256MiB --cpus 0.5 --pids 64', { limits: { memory: '256MiB', cpus: 0.5, pids: 64 } }],
  ['--ready port', { ready: { kind: 'port' } }],
  ['--ready healthcheck', { ready: { kind: 'healthcheck' } }],
  ['--ready started', { ready: { kind: 'started' } }],
  ['--shm 256MiB', { limits: { shm: '256MiB' } }],
  ['--ready http:/health', { ready: { kind: 'http', path: '/health' } }],
  ['--ready log:listening:.*', { ready: { kind: 'log', line: 'listening:.*' } }],
  ['--start-within 90s', { startWithin: '90s' }],
  ['-- httpd -f --json', { command: ['httpd', '-f', '--json'] }],
] as const) {
  test(`register ${flags || 'with an image alone'} sends what it says and nothing else`, async () => {
    assert.deepEqual(await sent(`register blog --image ghost ${flags}`.trim()), { ...blog, ...wanted })
  })
}

for (const [flags, wanted] of [
  ['--image ghost:6', { image: 'ghost:6' }],
  ['--unset-env DEBUG --env A=1', { env: { A: '1', DEBUG: null } }],
  ['--no-volume', { volume: null }],
  ['--keep default --detach-after default', { sleep: { keep: null, detachAfter: null } }],
  ['--no-command', { command: null }],
  ['--memory 1GiB', { limits: { memory: '1GiB' } }],
  // Fields of the previous kind of readiness must not be merged into the new one.
  ['--ready http:/up', { ready: { kind: 'http', path: '/up', line: null } }],
  ['--ready healthcheck', { ready: { kind: 'healthcheck', path: null, line: null } }],
  ['--domain only.test', { domains: ['only.test'] }],
] as const) {
  test(`update ${flags} is a merge patch of just that`, async () => {
    assert.deepEqual(await sent(`update blog ${flags}`), wanted)
  })
}

test('variables come from files first, then from --env; a name like any other is kept', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-env-'))
  await writeFile(join(folder, 'one.env'), '# a comment\nA=file\nB=two words\n')
  const body = await sent(`register blog --image ghost --env-file ${folder}/one.env --env A=flag --env a.b-c=1`)
  assert.deepEqual(body, { ...blog, env: { A: 'flag', B: 'two words', 'a.b-c': '1' } })
  const proto = await sent('register blog --image ghost --env __proto__=x')
  assert.equal(JSON.stringify(proto), '{"name":"blog","image":"ghost","env":{"__proto__":"x"}}')
  await rm(folder, { recursive: true })
})

test('each line of a file that is no variable is told with file and line, and nothing is sent', async () => {
  await using master = await fakeMaster({})
  const folder = await mkdtemp(join(tmpdir(), 'shadow-env-'))
  const file = join(folder, 'bad.env')
  await writeFile(file, Buffer.from('GOOD=1\n=secret\nTWO WORDS=secret\nL=caf\xe9\n', 'latin1'))
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  assert.equal(await run(['register', 'blog', '--image', 'x', '--env-file', file], terminal), 2)
  for (const line of [2, 3, 4]) assert.match(terminal.stderr, new RegExp(`  --env-file: ${file}:${line}: `))
  assert.doesNotMatch(terminal.stderr, /secret|GOOD/)
  assert.equal(master.calls.length, 0)
  await rm(folder, { recursive: true })
})

test('all flags that cannot be put into a definition are told at once, and nothing is sent', async () => {
  await using master = await fakeMaster({})
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const line = 'register blog --image ghost --port eighty --cpus x --env NOPE --ready soon --env-file /nowhere/at/all'
  assert.equal(await run(line.split(' '), terminal), 2)
  for (const flag of ['--port: "eighty"', '--cpus: "x"', '--env: "NOPE"', '--ready: "soon"', '--env-file: ENOENT'])
    assert.match(terminal.stderr, new RegExp(`  ${flag}`))
  assert.equal(master.calls.length, 0)
})

test('an idle check is a path, or a line for the shell of the container; update takes away what the other kind had', async () => {
  const line = ['register', 'blog', '--image', 'ghost', '--idle-check-command', '! pgrep -x worker']
  const command = ['sh', '-c', '! pgrep -x worker']
  assert.deepEqual(await sent(line), { ...blog, sleep: { idleCheck: { kind: 'command', command } } })
  assert.deepEqual(await sent('update blog --idle-check http:/idle'), {
    sleep: { idleCheck: { kind: 'http', path: '/idle', command: null } },
  })
  assert.deepEqual(await sent('update blog --idle-check none'), { sleep: { idleCheck: null } })
  await using master = await fakeMaster({})
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const both = ['update', 'blog', '--idle-check', 'http:/', '--idle-check-command', 'true']
  assert.equal(await run(both, terminal), 2)
  assert.match(terminal.stderr, /--idle-check-command: cannot be given beside --idle-check/)
})

test('register takes wake rules', async () => {
  const line = ['register', 'blog', '--image', 'ghost', '--ignore', 'path:/wp-*', '--answer', '/healthz']
  assert.deepEqual(await sent(line), { ...blog, wake: { ignore: [{ path: '/wp-*' }], answers: ['/healthz'] } })
})
