import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { masterClient } from '../../api/client.ts'
import { joinCluster } from '../../api/join.ts'
import { joinToken, joinTokenText } from '../../api/join-token.ts'
import { masterAccess, readMembership, renewMembership } from '../../api/membership.ts'
import { type FailureCode, isFailure } from '../../lib/errors.ts'
import { readEvents } from '../../lib/http/api/events.ts'
import { Seals, sealKeys } from '../../lib/seals.ts'
import { Credentials } from '../../lib/tls/credentials.ts'
import { certificateRequest, newPrivateKey } from '../../lib/tls/x509.ts'
import { MASTER_HOST, type MemberRole } from '../../model/member.ts'
import { HandClock } from '../../testing/clock.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { anAuthority } from '../../testing/mutual-tls.ts'
import { silentLog } from '../../testing/silent-log.ts'
import { rewriteSecrets } from '../secrets.ts'
import { directory } from '../storage/directory.ts'
import { initCluster, readCluster } from './authority.ts'

const HOUR_MS = 3_600_000
const clock = new HandClock(Date.now())
const seals = new Seals(sealKeys(TEST_SECRETS_KEY))
const path = temporaryFolder('shadow-test-cluster-')
let one: TestMaster
let other: TestMaster
beforeAll(async () => {
  const storage = await directory({ path })
  await initCluster({ storage, seals, clock, url: 'https://127.0.0.1:1' })
  await storage.close()
  one = await testMaster(await directory({ path }), clock)
  other = await testMaster(await directory({ path }), clock)
})
afterAll(async () => {
  await one[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
})

let count = 0
const fresh = (): string => `n${++count}`
const failsWith =
  (code: FailureCode, message: RegExp) =>
  (error: unknown): boolean => {
    assert.ok(isFailure(error, code), String(error))
    assert.match(error.message, message)
    return true
  }
const tokenFor = async (role: MemberRole, name: string, forMs = HOUR_MS) =>
  joinToken((await one.admin.call('createJoinToken', { body: { role, name, forMs } })).token)
const folder = (): string => temporaryFolder('shadow-test-member-')

/** A machine that has joined, and a client with its certificate. */
async function joined(role: MemberRole, name = fresh(), at = one) {
  const membership = await joinCluster({
    token: await tokenFor(role, name),
    master: at.master.url,
    role,
    folder: folder(),
    clock,
  })
  const settings = { master: at.master.url, token: undefined }
  const client = masterClient({ ...masterAccess(role, settings, membership), withinMs: 10_000 })
  return { name, membership, client }
}

describe('a token to join', () => {
  test('makes its machine a member, whose certificate any master takes', async () => {
    const { name, client } = await joined('node')
    await client.call('announceNode', { params: { node: name }, body: anAnnouncement() })
    const { items } = await other.admin.call('listMembers', {})
    assert.ok(items.some(member => member.name === name && member.role === 'node'))
  })

  test('is used by exactly one of twenty machines at once, at two masters', async () => {
    const token = await tokenFor('node', fresh())
    const joins = Array.from({ length: 20 }, (_, at) =>
      joinCluster({
        token,
        master: (at % 2 === 0 ? one : other).master.url,
        role: 'node',
        folder: folder(),
        clock,
      }),
    )
    const results = await Promise.allSettled(joins)
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const result of results)
      if (result.status === 'rejected') failsWith('unauthorised', /was used at/)(result.reason)
  })

  test('used twice, expired, unknown or of another role changes nothing and says why', async () => {
    const name = fresh()
    const token = await tokenFor('proxy', name)
    const use = (role: MemberRole, given = token) =>
      joinCluster({ token: given, master: one.master.url, role, folder: folder(), clock })
    await assert.rejects(use('node'), failsWith('forbidden', /for a machine of the role proxy, not node/))
    await use('proxy')
    const before = await one.admin.call('listMembers', {})
    await assert.rejects(use('proxy'), failsWith('unauthorised', /was used at 2.*nothing was changed/))
    const short = await tokenFor('node', fresh(), 1_000)
    await clock.advance(1_001)
    await assert.rejects(use('node', short), failsWith('unauthorised', /expired at/))
    const unknown = { ...token, secret: 'A'.repeat(43) }
    await assert.rejects(use('proxy', unknown), failsWith('unauthorised', /does not know this token/))
    assert.deepEqual(await one.admin.call('listMembers', {}), before)
  })

  test('may be used again by the machine that has used it: the first answer may be lost', async () => {
    const name = fresh()
    const token = await tokenFor('node', name)
    const request = await certificateRequest(newPrivateKey())
    const at = new Date(clock.wall()).toISOString()
    const body = { secret: token.secret, role: 'node', request, at } as const
    const first = await one.admin.call('joinCluster', { body })
    const second = await other.admin.call('joinCluster', { body })
    assert.equal(second.id, first.id)
    await one.admin.call('removeMember', { params: { role: 'node', name } })
    await assert.rejects(one.admin.call('joinCluster', { body }), failsWith('unauthorised', /was removed since/))
  })

  test('is refused to a machine whose clock is an hour off, which is told so; it is not used up', async () => {
    const token = await tokenFor('node', fresh())
    const join = (wrong: number) =>
      joinCluster({
        token,
        master: one.master.url,
        role: 'node',
        folder: folder(),
        clock: new HandClock(clock.wall() + wrong),
      })
    await assert.rejects(
      join(HOUR_MS),
      failsWith('bad-input', /the clock of this machine says .* 3600 s ahead of that of the master/),
    )
    await assert.rejects(join(-HOUR_MS), failsWith('bad-input', /3600 s behind/))
    await join(0)
  })

  test('is sent to no master whose CA has another hash', async () => {
    const token = { ...(await tokenFor('node', fresh())), caHash: 'A'.repeat(43) }
    const join = joinCluster({ token, master: one.master.url, role: 'node', folder: folder(), clock })
    await assert.rejects(join, failsWith('unauthorised', /has another CA than this token is for/))
  })

  test('is read as it was written, and no other text is taken for one', async () => {
    const token = await tokenFor('node', fresh())
    assert.deepEqual(joinToken(` ${joinTokenText(token)}\n`), token)
    for (const text of ['', 'shadowjoin1.a.b.c', 'shadow_abc', joinTokenText({ ...token, url: 'ftp://x' })])
      assert.throws(() => joinToken(text), failsWith('bad-input', /no token to join/))
  })
})

describe('a member', () => {
  test('does for itself alone, and with its role alone', async () => {
    const [node, front] = [await joined('node'), await joined('proxy')]
    const announcement = { params: { node: 'another' }, body: anAnnouncement() }
    await assert.rejects(node.client.call('announceNode', announcement), failsWith('forbidden', /of the node/))
    await assert.rejects(node.client.call('listNodes', {}), failsWith('forbidden', /role node/))
    await front.client.call('listNodes', {})
    await assert.rejects(front.client.call('getApp', { params: { app: 'any' } }), failsWith('forbidden', /role proxy/))
    await assert.rejects(
      node.client.call('createJoinToken', { body: { role: 'node', name: 'x' } }),
      failsWith('forbidden', /./),
    )
  })

  test('that is removed gets nothing from any master, and its stream ends', async () => {
    const { name, membership, client } = await joined('proxy')
    const elsewhere = masterClient({
      ...masterAccess('proxy', { master: other.master.url, token: undefined }, membership),
      withinMs: 10_000,
    })
    await elsewhere.call('listNodes', {})
    const { body } = await elsewhere.raw('changes', {})
    await one.admin.call('removeMember', { params: { role: 'proxy', name } })
    await assert.rejects(client.call('listNodes', {}), failsWith('unauthorised', /is not in the cluster/))
    const read = (async () => {
      for await (const _ of readEvents(body));
    })()
    await clock.advance(2_000) // the other master looks into the journal
    await read.catch(() => undefined)
    await assert.rejects(elsewhere.call('listNodes', {}), failsWith('unauthorised', /is not in the cluster/))
    const node = await joined('node')
    const { revoked } = await node.client.call('announceNode', { params: { node: node.name }, body: anAnnouncement() })
    assert.ok(revoked?.includes(membership.member.id))
  })

  test('gives way to a machine that joins by its name', async () => {
    const first = await joined('node')
    const second = await joined('node', first.name)
    const announcement = { params: { node: first.name }, body: anAnnouncement() }
    await assert.rejects(
      first.client.call('announceNode', announcement),
      failsWith('unauthorised', /is not in the cluster/),
    )
    await second.client.call('announceNode', announcement)
  })

  test('renews its certificate with a new key, and both are kept', async () => {
    const { membership, client } = await joined('proxy')
    const before = membership.credentials.current
    membership.credentials.replace(await renewMembership(membership, client))
    const after = membership.credentials.current
    assert.ok(after.key !== before.key && after.certificate !== before.certificate)
    await client.call('listNodes', {})
    const kept = await readMembership(join(membership.file, '..'), 'proxy')
    assert.deepEqual(kept?.credentials.current, after)
  })

  test('joins once: a machine that has joined keeps its membership', async () => {
    const { membership } = await joined('proxy')
    const again = joinCluster({
      token: await tokenFor('proxy', fresh()),
      master: one.master.url,
      role: 'proxy',
      folder: join(membership.file, '..'),
      clock,
    })
    await assert.rejects(again, failsWith('already-exists', /has joined a cluster already/))
  })

  test('has no token beside its certificate, and no URL in clear', async () => {
    const { membership } = await joined('proxy')
    const access = (given: { master?: string; token?: string }) => () =>
      masterAccess('proxy', { master: given.master, token: given.token }, membership)
    assert.throws(access({ token: 'x' }), failsWith('bad-input', /SHADOW_TOKEN: is set, but this machine has joined/))
    assert.throws(access({ master: 'http://m:8080' }), failsWith('bad-input', /SHADOW_MASTER: is http:.*https/))
    const neither = () => masterAccess('node', { master: undefined, token: undefined }, undefined)
    assert.throws(neither, failsWith('bad-input', /SHADOW_TOKEN: is not set, and this machine has joined no cluster/))
  })
})

describe('the master of a cluster', () => {
  const asClient = (credentials: Credentials, servername = MASTER_HOST) =>
    masterClient({ url: one.master.url, tls: { servername, credentials }, withinMs: 5_000 })

  test('takes no certificate of another CA, and none for a name of no member', async () => {
    const ca = one.master.ca ?? ''
    const foreign = await (await anAuthority()).credential('0123456789abcdef.n1.node.shadow')
    const thief = asClient(new Credentials({ ...foreign, ca }))
    await assert.rejects(thief.call('listNodes', {}), failsWith('unauthorised', /of another CA/))
    await assert.rejects(
      asClient(new Credentials({ ca })).call('listNodes', {}),
      failsWith('unauthorised', /no token was given/),
    )
  })

  test('is not taken for one by a client with another CA, or that wants another name', async () => {
    const { ca } = await anAuthority()
    await assert.rejects(
      asClient(new Credentials({ ca })).call('health', {}),
      failsWith('master-unreachable', /another CA/),
    )
    const ours = new Credentials({ ca: one.master.ca ?? '' })
    await assert.rejects(
      asClient(ours, 'other.shadow').call('health', {}),
      failsWith('master-unreachable', /another name/),
    )
  })

  test('takes tokens of admins, and none of nodes and fronts', async () => {
    await one.admin.call('listApps', {})
    for (const role of ['node', 'proxy'] as const)
      await assert.rejects((await one.as(role)).call('changes', {}), failsWith('forbidden', /no token of the role/))
  })

  test('tells a caller in clear that it speaks TLS', async () => {
    const plain = masterClient({ url: one.master.url.replace('https', 'http'), token: 'x', withinMs: 5_000 })
    await assert.rejects(plain.call('listApps', {}), failsWith('bad-input', /plain HTTP was spoken/))
  })
})

test('the key of the CA is in the store in no readable form, and is encrypted anew with a new key for secrets', async () => {
  const stored = await readFile(join(path, 'cluster/ca.json'), 'utf8')
  assert.match(stored, /BEGIN CERTIFICATE/)
  assert.doesNotMatch(stored, /PRIVATE KEY/)
  const storage = await directory({ path: temporaryFolder('shadow-test-cluster-key-') })
  const [old, next] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  await initCluster({ storage, seals: new Seals([old]), clock, url: 'https://m:1' })
  await storage.create('secrets/keys.json', { key: new Seals([next]).id, rewrittenWith: new Seals([old]).id })
  await rewriteSecrets(storage, new Seals([next, old]), silentLog)
  assert.ok(await readCluster({ storage, seals: new Seals([next]), clock, lastsMs: HOUR_MS }))
  await assert.rejects(
    readCluster({ storage, seals: new Seals([old]), clock, lastsMs: HOUR_MS }),
    failsWith('secret-unreadable', /./),
  )
  await assert.rejects(
    initCluster({ storage, seals: new Seals([next]), clock, url: 'https://m:1' }),
    failsWith('already-exists', /has a cluster already/),
  )
  await storage.close()
})
