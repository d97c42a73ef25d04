import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { GRANT_HEADER } from '../../api/backup-paths.ts'
import { Seals } from '../../lib/seals.ts'
import type { BackupRun } from '../../model/backup.ts'
import { nodeName, volumeId } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { silentLog } from '../../testing/silent-log.ts'
import { directory } from '../storage/directory.ts'
import { backupRecords } from './records.ts'
import { backupRuns } from './runs.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-rest-'))
const clock = new HandClock()
const seals = new Seals([Buffer.from(TEST_SECRETS_KEY, 'base64')])
const N1 = nodeName('n1')
const BLOG = volumeId('blog')
const never = new AbortController().signal
let on: TestMaster
let admin: string
let n1: string
let n2: string
let runs: ReturnType<typeof backupRuns>
beforeAll(async () => {
  const storage = await directory({ path })
  const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_STORAGE: `directory:${path}` }
  on = await testMaster(storage, clock, settings)
  admin = await on.master.token('admin')
  n1 = await on.master.nodeToken(N1)
  n2 = await on.master.nodeToken(nodeName('n2'))
  const records = backupRecords({ storage, seals })
  runs = backupRuns({ records, seals, clock, log: silentLog })
  await records.change(BLOG, now => ({ ...now }), { creates: true })
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

/** Runs the calls as a run of this kind on the node n1. */
const as = (kind: BackupRun, calls: (grant: string) => Promise<void>) =>
  runs.run({ volume: BLOG, kind, node: N1 }, never, async ({ grant }) => ({ value: await calls(grant) }))

const content = 'content'
const name = createHash('sha256').update(content).digest('hex')

type Sent = { token?: string; grant?: string; body?: string; accept?: string; basic?: string; range?: string }
function call(line: string, { token = n1, grant, body, accept, basic, range }: Sent = {}): Promise<Response> {
  const [method = '', target = ''] = line.split(' ')
  return fetch(`${on.master.url}/v1/repositories/${target}`, {
    method,
    body: body ?? null,
    headers: {
      authorization: basic === undefined ? `Bearer ${token}` : `Basic ${Buffer.from(basic).toString('base64')}`,
      ...(grant && { [GRANT_HEADER]: grant }),
      ...(accept && { accept }),
      ...(range && { range }),
    },
  })
}
const statusOf = async (answer: Promise<Response>): Promise<number> => (await answer).status
const code = async (answer: Promise<Response>) => ((await (await answer).json()) as { code: string }).code

test('a file is added, listed with its size, read in ranges, and never replaced', () =>
  as('backup', async grant => {
    assert.equal(await statusOf(call(`POST blog/data/${name}`, { grant, body: content })), 200)
    assert.equal(await statusOf(call(`POST blog/data/${name}`, { grant, body: content })), 200)
    const head = await call(`HEAD blog/data/${name}`, { grant })
    assert.deepEqual([head.status, head.headers.get('content-length')], [200, '7'])
    assert.equal(await statusOf(call(`HEAD blog/data/${'0'.repeat(64)}`, { grant })), 404)
    const part = await call(`GET blog/data/${name}`, { grant, range: 'bytes=1-3' })
    assert.deepEqual([part.status, await part.text()], [206, 'ont'])
    const v2 = await call('GET blog/data/', { grant, accept: 'application/vnd.x.restic.rest.v2' })
    assert.equal(v2.headers.get('content-type'), 'application/vnd.x.restic.rest.v2')
    assert.deepEqual(await v2.json(), [{ name, size: 7 }])
    assert.deepEqual(await (await call('GET blog/data/', { grant })).json(), [name])
    assert.deepEqual(await (await call('GET blog/index/', { grant })).json(), [])
  }))

test('a config is written once', () =>
  as('backup', async grant => {
    assert.equal(await statusOf(call('HEAD blog/config', { grant })), 404)
    assert.equal(await statusOf(call('POST blog?create=true', { grant })), 200)
    assert.equal(await statusOf(call('POST blog/config', { grant, body: 'one' })), 200)
    assert.equal(await code(call('POST blog/config', { grant, body: 'two' })), 'already-exists')
    assert.equal(await (await call('GET blog/config', { grant })).text(), 'one')
  }))

test('content of another digest is refused, and so is a name that is none', () =>
  as('backup', async grant => {
    const other = '0'.repeat(64)
    assert.equal(await code(call(`POST blog/data/${other}`, { grant, body: content })), 'bad-input')
    assert.equal(await statusOf(call(`HEAD blog/data/${other}`, { grant })), 404)
    for (const target of ['blog/data/..%2f..%2fx', 'blog/secrets/x', `Blog/data/${name}`, `blog/config/${name}`])
      assert.equal(await statusOf(call(`GET ${target}`, { grant })), 400, target)
  }))

test('a node does nothing without the grant of a run, with that of another node or volume, or after the run has ended', async () => {
  let kept = ''
  await as('backup', async grant => {
    kept = grant
    for (const sent of [{}, { grant: 'x' }, { grant, token: n2 }, { grant: grant.replace('backup', 'prune') }])
      assert.equal(await code(call('GET blog/config', sent)), 'forbidden', JSON.stringify(sent))
    assert.equal(await code(call('GET notes/config', { grant })), 'forbidden')
  })
  await clock.advance(3_000)
  assert.equal(await code(call('GET blog/config', { grant: kept })), 'changed')
  assert.equal(await code(call(`POST blog/data/${name}`, { grant: kept, body: content })), 'changed')
})

test('a backup adds files and removes none but locks, a restore and a test only read, a pruning does all', async () => {
  const other = 'other'
  const added = createHash('sha256').update(other).digest('hex')
  const may = async (kind: BackupRun, line: string, body?: string): Promise<number> => {
    let status = 0
    await as(kind, async grant => {
      status = await statusOf(call(line, { grant, ...(body && { body }) }))
    })
    return status
  }
  for (const [kind, line, body, wanted] of [
    ['backup', `DELETE blog/data/${name}`, undefined, 403],
    ['restore', `POST blog/data/${added}`, other, 403],
    ['verify', `POST blog/data/${added}`, other, 403],
    ['verify', `DELETE blog/snapshots/${name}`, undefined, 403],
    ['restore', `POST blog/locks/${added}`, other, 200],
    ['restore', `DELETE blog/locks/${added}`, undefined, 200],
    ['prune', `POST blog/data/${added}`, other, 200],
    ['prune', `DELETE blog/data/${added}`, undefined, 200],
  ] as const) {
    assert.equal(await may(kind, line, body), wanted, `${kind} ${line}`)
  }
})

test('an admin reads by token or by Basic authentication, locks, and changes nothing else; a front does nothing', async () => {
  assert.equal(await (await call('GET blog/config', { token: admin })).text(), 'one')
  assert.equal(await (await call('GET blog/config', { basic: `anybody:${admin}` })).text(), 'one')
  assert.equal(await statusOf(call('GET blog/config', { basic: 'anybody:wrong' })), 401)
  assert.equal(await statusOf(call(`POST blog/locks/${name}`, { token: admin, body: content })), 200)
  assert.equal(await statusOf(call(`DELETE blog/locks/${name}`, { token: admin })), 200)
  assert.equal(await code(call(`POST blog/data/${name}`, { token: admin, body: content })), 'forbidden')
  assert.equal(await code(call(`DELETE blog/data/${name}`, { token: admin })), 'forbidden')
  assert.equal(await code(call('GET blog/config', { token: await on.master.token('proxy') })), 'forbidden')
})

test('Basic authentication is for repositories alone', async () => {
  const authorization = `Basic ${Buffer.from(`anybody:${admin}`).toString('base64')}`
  assert.equal((await fetch(`${on.master.url}/v1/apps`, { headers: { authorization } })).status, 401)
})
