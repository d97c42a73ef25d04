import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, test } from 'vitest'
import { Cluster } from '../tools/cluster.ts'
import { traces } from '../tools/environment.ts'
import { installed } from '../tools/installed.ts'
import { journalLines, runsIn } from '../tools/journal.ts'
import { register, until } from '../tools/shadow.ts'
import type { Answer } from '../tools/visitor.ts'

const VOLUME = { volume: { size: '32MiB', driver: 'pool' } } as const
const JOURNAL = { ...VOLUME, env: { JOURNAL: '1' }, sleep: { idleAfter: 'never' } } as const
/** A node that is killed has to be back within it, also on a slow machine. */
const LEASE_MS = 15_000

let built: Awaited<ReturnType<typeof installed>>
let cluster: Cluster

beforeAll(async () => {
  built = await installed()
  const nodeSettings = (data: string) => ({ SHADOW_POOL: `${data}/pool`, SHADOW_POOL_LEASE: `${LEASE_MS}ms` })
  cluster = await Cluster.start({ shadow: built.shadow, nodes: ['a', 'b'], fronts: ['x'], nodeSettings })
})
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]()
  await built[Symbol.asyncDispose]()
})
afterEach(() => cluster.settle())

const ask = (app: string, path = '/', sent = {}): Promise<Answer> => cluster.at('x').ask(app, path, sent)
const letterOf = ({ headers }: Answer): string => (headers['x-shadow-node'] === cluster.nameOf('a') ? 'a' : 'b')
const other = (letter: string): string => (letter === 'a' ? 'b' : 'a')
const put = async (app: string, text: string): Promise<string> => {
  const answer = await ask(app, '/files/note', { method: 'PUT', body: text })
  assert.equal(answer.status, 200, answer.text)
  return letterOf(answer)
}

/** Repeats the request until the app answers. Every earlier answer must say what happened, and when to try again. */
const answered = (app: string, path: string): Promise<Answer> =>
  until(async () => {
    // A paused node accepts connections but does not answer, until the front's own check finds out.
    const answer = await ask(app, path, { signal: AbortSignal.timeout(15_000) }).catch(() => undefined)
    if (answer === undefined || answer.status === 200) return answer
    assert.equal(answer.headers['x-shadow-error'], 'node-unreachable', answer.text)
    assert.ok(Number(answer.headers['retry-after']) >= 1)
    return undefined
  })

/** What the app's containers on the node print; `wrote`: when it last synced a line of its journal. */
async function followed(letter: string, app: string): Promise<{ readonly wrote: () => number }> {
  const [id = ''] = await cluster.containers(letter, app)
  const { stdout } = spawn('docker', ['logs', '--follow', id], { stdio: ['ignore', 'pipe', 'ignore'] })
  let wrote = 0
  createInterface(stdout).on('line', line => {
    if (line.startsWith('wrote ')) wrote = Number(line.slice('wrote '.length))
  })
  await until(() => (wrote > 0 ? true : undefined))
  return { wrote: () => wrote }
}

const journal = async (app: string) => journalLines((await answered(app, '/files/journal')).text)

/** The guard processes of this node. */
async function guards(letter: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(
    pids.map(async pid => {
      const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return words.includes('lease-guard') && words.includes(`${cluster.data}/${letter}"`) ? [Number(pid)] : []
    }),
  )
  return found.flat()
}

test('an app that sleeps at one node wakes at another at once, with its data, and back again', async () => {
  await register(cluster.admin, 'moves', VOLUME)
  const first = await put('moves', 'kept')
  await cluster.admin.call('sleepApp', { params: { app: 'moves' } })
  assert.equal((await cluster.admin.call('getVolume', { params: { volume: 'moves' } })).lease, null)
  assert.equal(await cluster.node(first).end('SIGTERM'), 0)
  const from = performance.now()
  const note = await answered('moves', '/files/note')
  assert.deepEqual([note.text, letterOf(note)], ['kept', other(first)])
  assert.ok(performance.now() - from < LEASE_MS / 2, 'the lease of the first node was waited for')
  await put('moves', 'changed')
  await cluster.node(first).start()
  // A node that ends puts the app to sleep, because nobody would renew its lease.
  assert.equal(await cluster.node(other(first)).end('SIGTERM'), 0)
  assert.deepEqual(await cluster.containers(other(first), 'moves'), [])
  const again = await answered('moves', '/files/note')
  assert.deepEqual([again.text, letterOf(again)], ['changed', first])
  await cluster.node(other(first)).start()
  await cluster.admin.call('removeApp', { params: { app: 'moves' }, query: { withVolume: 'true' } })
  assert.deepEqual(await readdir(`${cluster.data}/pool`), [], 'its bytes are deleted with it')
})

test('a node that is killed and back within its lease takes its app over as it runs, and keeps it', async () => {
  await register(cluster.admin, 'steady', JOURNAL)
  const first = await put('steady', 'kept')
  const before = (await ask('steady')).json.boot
  await cluster.node(first).end('SIGKILL')
  await cluster.node(first).start()
  // Past the end of the lease that the killed run had taken: its guard has heard of the new one.
  await wait(LEASE_MS + 2_000)
  const after = await answered('steady', '/')
  assert.deepEqual([after.json.boot, letterOf(after)], [before, first])
  assert.equal(runsIn(await journal('steady')).length, 1)
})

test('while no master answers, an app is stopped before its lease can end, and woken by the next request after', async () => {
  await register(cluster.admin, 'lonely', JOURNAL)
  const first = await put('lonely', 'kept')
  const app = await followed(first, 'lonely')
  const resume = cluster.master.pause()
  const from = Date.now()
  await until(async () => (await cluster.containers(first, 'lonely')).length === 0 || undefined)
  assert.ok(Date.now() - from < LEASE_MS, 'the lease had ended before the app')
  const refused = await ask('lonely')
  assert.deepEqual([refused.status, refused.headers['x-shadow-error']], [503, 'master-unreachable'])
  resume()
  const note = await until(async () => {
    const answer = await ask('lonely', '/files/note')
    return answer.status === 200 ? answer : undefined
  })
  assert.equal(note.text, 'kept')
  const lines = await journal('lonely')
  assert.equal(runsIn(lines).length, 2)
  assert.ok(lines.some(({ at }) => at === app.wrote()))
})

test('a node that is killed is followed by another when its lease has ended, with all data; its guard has ended the container before', async () => {
  await register(cluster.admin, 'kept', JOURNAL)
  const first = await put('kept', 'kept')
  const app = await followed(first, 'kept')
  await cluster.node(first).end('SIGKILL')
  const note = await answered('kept', '/files/note')
  assert.deepEqual([note.text, letterOf(note)], ['kept', other(first)])
  const lines = await journal('kept')
  const runs = runsIn(lines)
  assert.equal(runs.length, 2)
  const taken = lines.find(({ boot }) => boot === runs[1])?.at ?? 0
  assert.ok(app.wrote() < taken, 'the first container wrote when the second had begun')
  assert.ok(
    lines.some(({ at }) => at === app.wrote()),
    'what the first container had synced last is there',
  )
  await cluster.node(first).start()
  await until(async () => (await cluster.containers(first, 'kept')).length === 0 || undefined)
  assert.equal(letterOf(await answered('kept', '/')), other(first))
})

test('a node that is stopped past its lease and goes on finds its app ended, while another has gone on with it', async () => {
  await register(cluster.admin, 'paused', JOURNAL)
  const first = await put('paused', 'kept')
  const app = await followed(first, 'paused')
  const resume = cluster.node(first).pause()
  const note = await answered('paused', '/files/note')
  assert.deepEqual([note.text, letterOf(note)], ['kept', other(first)])
  const ended = app.wrote()
  resume()
  await until(async () => (await cluster.containers(first, 'paused')).length === 0 || undefined)
  await wait(1_000)
  assert.equal(app.wrote(), ended)
  const lines = await journal('paused')
  const runs = runsIn(lines)
  assert.equal(runs.length, 2)
  assert.ok(lines.some(({ at }) => at === ended))
  assert.equal(letterOf(await answered('paused', '/')), other(first))
})

test('a whole machine that is stopped past its lease and goes on writes nothing that the next holder sees', async () => {
  await register(cluster.admin, 'frozen', JOURNAL)
  const first = await put('frozen', 'kept')
  const app = await followed(first, 'frozen')
  const [id = ''] = await cluster.containers(first, 'frozen')
  const guardPids = await guards(first)
  assert.equal(guardPids.length, 1)
  const resume = cluster.node(first).pause()
  for (const pid of guardPids) process.kill(pid, 'SIGSTOP')
  await promisify(execFile)('docker', ['pause', id])
  const synced = app.wrote()
  const note = await answered('frozen', '/files/note')
  assert.deepEqual([note.text, letterOf(note)], ['kept', other(first)])
  // The container resumes first. It writes, and nobody is there to end it.
  await promisify(execFile)('docker', ['unpause', id])
  await until(() => (app.wrote() > synced + LEASE_MS / 2 ? true : undefined))
  const late = app.wrote()
  resume()
  for (const pid of guardPids) process.kill(pid, 'SIGCONT')
  await until(async () => (await cluster.containers(first, 'frozen')).length === 0 || undefined)
  const lines = await journal('frozen')
  assert.equal(runsIn(lines).length, 2)
  assert.ok(
    lines.some(({ at }) => at === synced),
    'what was synced before is there',
  )
  assert.ok(!lines.some(({ boot, at }) => boot === lines[0]?.boot && at >= late), 'a late line is not')
})

test('a node that ends leaves no guard, no mount and no device', async () => {
  await register(cluster.admin, 'clean', VOLUME)
  const first = await put('clean', 'kept')
  assert.equal((await guards(first)).length, 1)
  assert.equal(await cluster.node(first).end('SIGTERM'), 0)
  await until(async () => (await guards(first)).length === 0 || undefined)
  assert.deepEqual(
    (await traces()).filter(trace => trace.includes(`${cluster.data}/`)),
    [],
  )
})
