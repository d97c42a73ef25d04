import assert from 'node:assert/strict'
import { afterAll, beforeAll, beforeEach, describe, test } from 'vitest'
import { type MasterClient, masterClient } from '../../api/client.ts'
import { joinCluster } from '../../api/join.ts'
import { joinToken } from '../../api/join-token.ts'
import { type FailureCode, isFailure } from '../../lib/errors.ts'
import { Seals, sealKeys } from '../../lib/seals.ts'
import { Credentials } from '../../lib/tls/credentials.ts'
import type { FleetReport, ServerRecord } from '../../model/fleet.ts'
import { MASTER_HOST } from '../../model/member.ts'
import { type NodeName, nodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { anAnnouncement } from '../../testing/front.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { initCluster } from '../cluster/authority.ts'
import { directory } from '../storage/directory.ts'

// Behind, since the tests move it on, and the certificates that are made by it count now.
const clock = new HandClock(Date.now() - 900_000)
const path = temporaryFolder('shadow-test-fleet-')
let one: TestMaster
let other: TestMaster
let first: Front
let second: Front
let fleet: string
let count = 0
beforeAll(async () => {
  const storage = await directory({ path })
  await initCluster({ storage, seals: new Seals(sealKeys(TEST_SECRETS_KEY)), clock, url: 'https://127.0.0.1:1' })
  await storage.close()
  one = await testMaster(await directory({ path }), clock)
  other = await testMaster(await directory({ path }), clock)
  first = await aFront('front-1', one)
  second = await aFront('front-2', other)
})
beforeEach(async () => {
  fleet = `f${++count}`
  await allow('front-1')
  await allow('front-2')
})
afterAll(async () => {
  await one[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
})

/** A front that has joined the cluster, and calls this master. */
async function aFront(name: string, at: TestMaster) {
  const token = joinToken((await one.admin.call('createJoinToken', { body: { role: 'proxy', name } })).token)
  const folder = temporaryFolder('shadow-test-fleet-front-')
  const { credentials } = await joinCluster({ token, master: at.master.url, role: 'proxy', folder, clock })
  const tls = { servername: MASTER_HOST, credentials }
  return { holder: `run-of-${name}`, client: masterClient({ url: at.master.url, tls, withinMs: 10_000 }) }
}
type Front = { readonly holder: string; readonly client: MasterClient }
type Wanted = { app: string; bytes: number; firstMs: number; lastMs: number }

const allow = (front: string, nodes?: string[]) =>
  one.admin.call('allowFleet', { params: { fleet, front }, body: nodes === undefined ? {} : { nodes } })
const lead = async ({ client, holder }: Front, epoch?: number, wanted: Wanted[] = []) =>
  client.call('leaseFleet', { params: { fleet }, body: { holder, forMs: 60_000, wanted, ...(epoch && { epoch }) } })
const server = (number: number, changes: Partial<ServerRecord> = {}): ServerRecord => ({
  number,
  node: nodeName(`${fleet}-${number}-abcdef`),
  offer: 'm7g.large',
  phase: 'ordered',
  since: new Date(clock.wall()).toISOString(),
  epoch: 1,
  ...changes,
})
const report: FleetReport = {
  at: '2026-11-29T10:00:00.000Z',
  driver: 'ec2',
  isDryRun: false,
  max: 2,
  servers: [],
  plan: [],
  notes: [],
  prices: '',
}
const save = ({ client, holder }: Front, epoch: number, servers: ServerRecord[]) =>
  client.call('saveFleet', { params: { fleet }, body: { holder, epoch, servers, memory: {}, report: report as never } })
const remove = ({ client, holder }: Front, node: string, ended: 'true' | 'false' = 'false') =>
  client.call('removeServer', { params: { fleet, node }, query: { holder, epoch: 1, ended } })
const tokenFor = ({ client, holder }: Front, node: string) =>
  client.call('createServerToken', { params: { fleet, node }, body: { holder, epoch: 1 } })
const rejectsWith = (code: FailureCode, action: Promise<unknown>, said = /./) =>
  assert.rejects(action, error => isFailure(error, code) && said.test(`${error.message} ${error.details.hint}`))

/** Lets the server join as a node, and announce itself. */
async function joined(node: NodeName) {
  const token = joinToken((await tokenFor(first, node)).token)
  const folder = temporaryFolder('shadow-test-fleet-node-')
  const { credentials } = await joinCluster({ token, master: one.master.url, role: 'node', folder, clock })
  const tls = { servername: MASTER_HOST, credentials }
  const client = masterClient({ url: one.master.url, tls, withinMs: 10_000 })
  await client.call('announceNode', {
    params: { node },
    body: anAnnouncement({ address: `${node}:1`, volumeDrivers: ['loop', 'pool'] }),
  })
  return client
}

describe('the lead of a fleet', () => {
  test('is for fronts that an admin has allowed, until it is denied', async () => {
    const stranger = await aFront('front-3', one)
    await rejectsWith('forbidden', lead(stranger), new RegExp(`shadow fleet allow front-3 --fleet ${fleet}`))
    assert.equal((await lead(first)).epoch, 1)
    await one.admin.call('denyFleet', { params: { fleet, front: 'front-1' } })
    await rejectsWith('forbidden', save(first, 1, []))
    assert.equal((await lead(second)).epoch, 2)
  })

  test('has one front at a time: the next one gets it when it is given up, or has ended', async () => {
    assert.equal((await lead(first)).epoch, 1)
    assert.equal((await lead(second)).epoch, null)
    await clock.advance(50_000)
    assert.equal((await lead(first, 1)).epoch, 1)
    await clock.advance(50_000)
    assert.equal((await lead(second)).epoch, null)
    await first.client.call('releaseFleet', { params: { fleet }, query: { holder: first.holder, epoch: 1 } })
    assert.equal((await lead(second)).epoch, 2)
    await clock.advance(60_000)
    assert.equal((await lead(first, 1)).epoch, 3)
  })

  test('of twenty fronts at once at two masters, one gets it', async () => {
    const asked = Array.from({ length: 20 }, (_, at) =>
      lead({ ...(at % 2 === 0 ? first : second), holder: `holder-${at}` }),
    )
    assert.equal((await Promise.all(asked)).filter(({ epoch }) => epoch !== null).length, 1)
  })

  test('of a front that was paused beyond its lease records nothing', async () => {
    await lead(first)
    await save(first, 1, [server(1)])
    await clock.advance(60_000)
    assert.deepEqual((await lead(second)).servers, [
      server(1, { since: new Date(clock.wall() - 60_000).toISOString() }),
    ])
    await rejectsWith('changed', save(first, 1, [server(1), server(2)]), /front-2 leads/)
    await rejectsWith('changed', remove(first, server(1).node))
    await rejectsWith('changed', tokenFor(first, server(1).node))
  })

  test('tells its front what the others want, and how long ago', async () => {
    await lead(first)
    await lead(second, undefined, [{ app: 'blog', bytes: 1e9, firstMs: 2_000, lastMs: 1_000 }])
    await clock.advance(5_000)
    const { wanted } = await lead(first, 1)
    assert.deepEqual(wanted, [{ app: 'blog', bytes: 1e9, firstMs: 7_000, lastMs: 6_000 }])
    await clock.advance(55_000)
    assert.deepEqual((await lead(first, 1)).wanted, [])
  })
})

describe('a front that leads a fleet', () => {
  test('records only its own servers, and nodes that an admin gave to the fleet', async () => {
    await lead(first)
    await rejectsWith('forbidden', save(first, 1, [server(1, { node: nodeName('node-1') })]), /--node node-1/)
    await rejectsWith('forbidden', save(first, 1, [server(2, { node: server(1).node })]))
    await rejectsWith('bad-input', save(first, 1, [server(1), server(1, { node: nodeName(`${fleet}-1-zzzzzz`) })]))
    await rejectsWith('forbidden', remove(first, 'node-1'))
    await allow('front-1', ['node-1'])
    await save(first, 1, [server(1, { node: nodeName('node-1'), offer: '' })])
    await rejectsWith('bad-input', allow('front-1', [`${fleet}-1-abcdef`]))
  })

  test('gets tokens for servers that it has ordered, until they have joined', async () => {
    await lead(first)
    const { node } = server(1)
    await rejectsWith('forbidden', tokenFor(first, node))
    await save(first, 1, [server(1)])
    const early = joinToken((await tokenFor(first, node)).token)
    await joined(node)
    await rejectsWith('already-exists', tokenFor(first, node), /has joined the cluster as/)
    await remove(first, node, 'true')
    const late = {
      token: early,
      master: one.master.url,
      role: 'node',
      folder: temporaryFolder('late-'),
      clock,
    } as const
    await rejectsWith('unauthorised', joinCluster(late), /does not know this token/)
  })

  test('removes a server that is drained, whose certificate opens nothing afterwards', async () => {
    await lead(first)
    await save(first, 1, [server(1)])
    const { node } = server(1)
    const machine = await joined(node)
    await rejectsWith('node-in-use', remove(first, node), /still takes apps/)
    await clock.advance(20_000)
    await remove(first, node)
    await rejectsWith('unauthorised', machine.call('announceNode', { params: { node }, body: anAnnouncement() }))
  })

  test('cannot drain or remove a server with volumes on its disk', async () => {
    await lead(first)
    await save(first, 1, [server(1)])
    const { node } = server(1)
    await joined(node)
    const app = `${fleet}-blog`
    await one.admin.call('registerApp', { body: { name: app, image: 'x', volume: { size: '1GiB' } } })
    await one.admin.call('leaseVolume', { params: { volume: app }, body: { node } })
    const { holder } = first
    const drain = first.client.call('drainServer', {
      params: { fleet, node },
      body: { holder, epoch: 1, deadline: '1h' },
    })
    await rejectsWith('volumes-stay', drain)
    await rejectsWith('node-in-use', remove(first, node))
    await clock.advance(30_000)
    await rejectsWith('node-in-use', remove(first, node))
    assert.deepEqual(await remove(first, node, 'true'), { lost: [app] })
  })

  test('lets other nodes have the volumes of an ended machine at once, before the lease has ended', async () => {
    await lead(first)
    await save(first, 1, [server(1)])
    const { node } = server(1)
    await joined(node)
    const app = `${fleet}-pooled`
    const volume = { size: '1GiB', driver: 'pool' } as const
    await one.admin.call('registerApp', { body: { name: app, image: 'x', volume } })
    const lease = (by: string) =>
      one.admin.call('leaseVolume', { params: { volume: app }, body: { node: by, forMs: 60_000, driver: 'pool' } })
    await lease(node)
    await rejectsWith('volume-elsewhere', lease('node-9'))
    assert.deepEqual(await remove(first, node, 'true'), { lost: [] })
    assert.equal((await lease('node-9')).lease?.epoch, 2)
    assert.deepEqual(await remove(first, node, 'true'), { lost: [] })
    assert.equal((await one.admin.call('getVolume', { params: { volume: app } })).lease?.node, 'node-9')
  })
})

test('an admin reads the fleet, and who leads it', async () => {
  await lead(first)
  await save(first, 1, [server(1)])
  const read = () => one.admin.call('getFleet', { params: { fleet } })
  assert.deepEqual((await read()).leader?.front, 'front-1')
  assert.deepEqual((await read()).servers, [server(1)])
  assert.deepEqual((await read()).report, report)
  await clock.advance(60_000)
  assert.equal((await read()).leader, null)
})

test('a credential of another machine opens no fleet', async () => {
  const tls = { servername: MASTER_HOST, credentials: new Credentials({ ca: one.master.ca ?? '' }) }
  const nobody = masterClient({ url: one.master.url, tls, withinMs: 10_000 })
  await rejectsWith('unauthorised', lead({ client: nobody, holder: 'nobody-at-all' }))
})
