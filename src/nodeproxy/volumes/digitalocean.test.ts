import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type FailureCode, isFailure } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { snapshotId, volumeId } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { Droplets, dropletsToken } from '../../testing/droplets.ts'
import type { BlockDriver, Device } from './block-driver.ts'
import { digitalocean } from './digitalocean.ts'
import { digitaloceanClient } from './digitalocean-client.ts'

const GIB = 2 ** 30
const blog = volumeId('blog')
const { signal } = new AbortController()
const format = async (): Promise<void> => undefined

/** A region with two droplets of one cluster. */
function region() {
  const clock = new HandClock()
  const devices = new Map<string, number>()
  const mounted = new Set<string>()
  const cloud = new Droplets({
    clock,
    onAttached: (disk, droplet) => void devices.set(disk, droplet),
    onDetached: disk => void devices.delete(disk),
  })
  cloud.start(1, 'fra1')
  cloud.start(2, 'fra1')
  const driver = (droplet: number, { cluster = 'test', token = dropletsToken } = {}): BlockDriver =>
    digitalocean({
      api: digitaloceanClient({ region: 'fra1', token, fetch: cloud.fetch, clock }),
      cluster,
      machine: { droplet, region: 'fra1' },
      devices: {
        find: async disk => (devices.get(disk) === droplet ? (`/dev/${disk}` as Device) : undefined),
        bytes: async () => 0,
        untilUnused: async (_, device) => {
          if (mounted.has(device)) throw new Error(`${device} is mounted`)
        },
      },
      clock,
      log: noLog,
    })
  /** Moves the clock until the call has ended. */
  async function ended<T>(call: Promise<T>): Promise<T> {
    let isEnded = false
    const end = (): void => {
      isEnded = true
    }
    call.then(end, end)
    for (let i = 0; i < 10_000 && !isEnded; i++) await clock.advance(250)
    return call
  }
  const fails = (code: FailureCode, call: Promise<unknown>, message = /./): Promise<void> =>
    assert.rejects(ended(call), error => isFailure(error, code) && message.test(error.message))
  async function made(on: BlockDriver): Promise<string> {
    await ended(on.create(blog, GIB, format, signal, { epoch: 1 }))
    await ended(on.detach(blog))
    assert.equal(cloud.all.length, 1)
    return cloud.all[0]?.name ?? ''
  }
  const count = (call: string): number => cloud.calls.filter(made => made.startsWith(`${call} `)).length
  return { cloud, clock, driver, ended, fails, made, mounted, count }
}

test('a volume moves from one droplet to another, and is never on two', async () => {
  const { driver, ended, fails, made, cloud } = region()
  const [one, two] = [driver(1), driver(2)]
  await made(one)
  await ended(one.attach(blog, signal))
  await fails('volume-in-use', two.attach(blog, signal), /droplet 1 has volume blog/)
  await ended(two.detach(blog))
  assert.deepEqual(cloud.all[0]?.droplet_ids, [1])
  await ended(one.detach(blog))
  await ended(two.attach(blog, signal))
  assert.deepEqual(cloud.all[0]?.droplet_ids, [2])
  assert.deepEqual(cloud.wrongs, [])
})

test('a disk has tags and a description by which people find it, and a name that the API takes', async () => {
  const { driver, ended, made, cloud } = region()
  await made(driver(1))
  const [disk] = cloud.all
  assert.deepEqual(disk?.tags, ['shadow:cluster:test', 'shadow:volume:blog', 'shadow:ready'])
  assert.match(disk?.name ?? '', /^shadow-[0-9a-f]{20}$/)
  assert.equal(disk?.description, 'volume blog of the Shadow cluster test')
  const long = volumeId('a'.repeat(63))
  await ended(driver(1).create(long, GIB, format, signal, { epoch: 1 }))
})

test('the disk of a droplet that was destroyed is waited for', async () => {
  const { driver, ended, made, cloud, fails } = region()
  const [one, two] = [driver(1), driver(2)]
  await made(one)
  await ended(one.attach(blog, signal))
  await fails('volume-in-use', two.attach(blog, signal))
  cloud.destroy(1)
  await ended(two.attach(blog, signal))
  assert.deepEqual(cloud.all[0]?.droplet_ids, [2])
})

for (const call of ['create', 'attach', 'detach', 'resize', 'delete', 'tag'] as const)
  test(`an answer of ${call} that is lost: the driver looks, and all is as if it had come`, async () => {
    const { driver, ended, cloud, count } = region()
    const one = driver(1)
    cloud.failNext(call, 'lost-after')
    await ended(one.create(blog, GIB, format, signal, { epoch: 1 }))
    await ended(one.grow(blog, 2 * GIB, signal))
    await ended(one.attach(blog, signal))
    assert.deepEqual([cloud.all.length, cloud.all[0]?.size_gigabytes], [1, 2])
    await ended(one.detach(blog))
    await ended(one.remove(blog))
    assert.deepEqual(await ended(one.attached()), [])
    assert.equal(cloud.all.length, 0)
    if (call !== 'tag') assert.equal(count(call), { attach: 2, detach: 2 }[call as string] ?? 1)
    assert.deepEqual(cloud.wrongs, [])
  })

for (const call of ['create', 'attach', 'detach', 'delete', 'tag', 'list'] as const)
  for (const kind of ['lost', 'throttled', 'broken'] as const)
    test(`a call of ${call} that is ${kind} is made good`, async () => {
      const { driver, ended, cloud } = region()
      const one = driver(1)
      cloud.failNext(call, kind)
      await ended(one.create(blog, GIB, format, signal, { epoch: 1 }))
      await ended(one.attach(blog, signal))
      await ended(one.detach(blog))
      await ended(one.remove(blog))
      assert.equal(cloud.all.length, 0)
    })

test('a throttled call waits as long as the API says', async () => {
  const { driver, ended, cloud, clock } = region()
  cloud.failNext('create', 'throttled')
  const from = clock.now()
  await ended(driver(1).create(blog, GIB, format, signal, { epoch: 1 }))
  assert.ok(clock.now() - from >= 5_000)
})

test('an API that goes on throttling, or does not take the token, is told as such', async () => {
  const { driver, cloud, fails } = region()
  for (let n = 0; n < 4; n++) cloud.failNext('list', 'throttled')
  await fails(
    'cloud-failed',
    driver(1).attach(blog, signal),
    /DigitalOcean cannot attach volume blog: the API is called too often/,
  )
  const wrong = driver(1, { token: async () => 'another' })
  await fails('cloud-failed', wrong.attached(), /token of this node does not allow it/)
})

test('a creation that was cut short is begun anew by the next one: one disk is left', async () => {
  const { driver, ended, cloud } = region()
  const failing = driver(1).create(blog, GIB, () => Promise.reject(new Error('mkfs ended')), signal, { epoch: 1 })
  await assert.rejects(ended(failing), /mkfs ended/)
  assert.equal(cloud.all.length, 0)
  let isFormatting = false
  const killed = (): Promise<void> => {
    isFormatting = true
    return new Promise(() => undefined)
  }
  void driver(1).create(blog, GIB, killed, signal, { epoch: 1 })
  await ended(until(() => isFormatting))
  await ended(driver(1).create(blog, GIB, format, signal, { epoch: 2 }))
  await ended(driver(1).attach(blog, signal))
  assert.equal(cloud.all.length, 1)
})

test('a disk that another droplet is formatting is left alone', async () => {
  const { driver, ended, cloud, fails } = region()
  let isFormatting = false
  void driver(1).create(
    blog,
    GIB,
    () => {
      isFormatting = true
      return new Promise(() => undefined)
    },
    signal,
    { epoch: 1 },
  )
  await ended(until(() => isFormatting))
  await fails('volume-in-use', driver(2).create(blog, GIB, format, signal, { epoch: 2 }), /droplet 1 has volume blog/)
  cloud.destroy(1)
  await ended(driver(2).create(blog, GIB, format, signal, { epoch: 2 }))
  assert.equal(cloud.all.length, 1)
  assert.deepEqual(cloud.wrongs, [])
})

test('a droplet with seven disks says that it has no slot, and an account at its limit that it has no room', async () => {
  const { driver, ended, fails, cloud } = region()
  for (let n = 0; n < 7; n++) cloud.addForeign(`other-${n}`, 'fra1', 1)
  await fails(
    'no-volume-slot',
    driver(1).create(blog, GIB, format, signal, { epoch: 1 }),
    /droplet 1 has as many disks/,
  )
  await ended(driver(2).create(blog, GIB, format, signal, { epoch: 2 }))
  cloud.quota = 8
  await fails(
    'disk-full',
    driver(2).create(volumeId('more'), GIB, format, signal, { epoch: 1 }),
    /limits of the account/,
  )
})

test('a disk that never attaches is told as such, and can be tried again', async () => {
  const { driver, fails, made, cloud, ended } = region()
  const disk = await made(driver(1))
  cloud.neverAttach.add(disk)
  await fails('cloud-failed', driver(1).attach(blog, signal), /does not attach/)
  cloud.neverAttach.delete(disk)
  await ended(driver(1).attach(blog, signal))
})

test('a volume grows, and a mounted one is not detached for that', async () => {
  const { driver, ended, made, cloud, mounted, count } = region()
  const one = driver(1)
  const disk = await made(one)
  await ended(one.grow(blog, 3 * GIB, signal))
  assert.equal(cloud.all[0]?.size_gigabytes, 3)
  await ended(one.attach(blog, signal))
  mounted.add(`/dev/${disk}`)
  await assert.rejects(ended(one.grow(blog, 4 * GIB, signal)), /is mounted/)
  await assert.rejects(ended(one.detach(blog)), /is mounted/)
  assert.equal(count('detach'), 1)
})

test('only disks of this cluster are seen: those of others, and of nobody, are never touched', async () => {
  const { driver, ended, made, cloud, fails } = region()
  const name = await made(driver(1))
  await ended(driver(1).attach(blog, signal))
  cloud.addForeign('another', 'fra1', 1)
  await ended(driver(1, { cluster: 'other' }).create(blog, GIB, format, signal, { epoch: 1 }))
  assert.deepEqual(
    (await ended(driver(1).attached())).map(({ volume }) => volume),
    [blog],
  )
  await ended(driver(1).detach(blog))
  await ended(driver(1).remove(blog))
  cloud.addForeign(name, 'fra1')
  await fails(
    'volume-broken',
    driver(1).create(blog, GIB, format, signal, { epoch: 2 }),
    /does not have the tag shadow:cluster:test/,
  )
  await fails('volume-broken', driver(1).remove(blog))
  assert.deepEqual(cloud.wrongs, [])
})

async function until(is: () => boolean): Promise<void> {
  while (!is()) await new Promise(resolve => setImmediate(resolve))
}

const monday = { volume: blog, id: snapshotId('monday') }

for (const [call, kind] of [
  ['snapshot', 'lost-after'],
  ['snapshot', 'throttled'],
  ['list-snapshots', 'broken'],
  ['delete-snapshot', 'lost-after'],
  ['delete-snapshot', 'lost'],
] as const)
  test(`a call of ${call} that is ${kind}: one snapshot is taken, and removed`, async () => {
    const { driver, ended, made, cloud } = region()
    const one = driver(1)
    await made(one)
    cloud.failNext(call, kind)
    await ended(one.snapshots!.take(monday, signal))
    await ended(driver(1).snapshots!.take(monday, signal))
    await ended(one.snapshots!.finish(monday, signal))
    assert.deepEqual(await one.snapshots!.of(blog), ['monday'])
    assert.equal(cloud.allSnapshots.length, 1)
    await ended(one.snapshots!.remove(monday))
    assert.deepEqual(cloud.allSnapshots, [])
  })

test('an order of a snapshot that never arrived fails, and the next call gives it', async () => {
  const { driver, ended, made, cloud, fails } = region()
  const one = driver(1)
  await made(one)
  cloud.failNext('snapshot', 'lost')
  await fails('cloud-failed', one.snapshots!.take(monday, signal), /take the snapshot monday of volume blog: no answer/)
  await ended(one.snapshots!.take(monday, signal))
  assert.equal(cloud.allSnapshots.length, 1)
})

test('a volume is made anew from its snapshot; snapshots of others are neither seen nor touched', async () => {
  const { driver, ended, made, cloud, fails } = region()
  const one = driver(1)
  cloud.addForeignSnapshot('fra1', ['shadow:volume:blog', 'shadow:snapshot:monday'])
  cloud.addForeignSnapshot('fra1', ['shadow:cluster:other', 'shadow:volume:blog', 'shadow:snapshot:monday'])
  await made(one)
  await fails('not-found', one.snapshots!.finish(monday, signal), /volume blog has no snapshot monday/)
  await ended(one.grow(blog, 2 * GIB, signal))
  await ended(one.snapshots!.take(monday, signal))
  await ended(one.remove(blog))
  cloud.failNext('create', 'lost-after')
  const from = { from: monday, epoch: 2 }
  await ended(one.create(blog, GIB, () => assert.fail('it was formatted'), signal, from))
  await ended(one.attach(blog, signal))
  assert.deepEqual([cloud.all.length, cloud.all[0]?.size_gigabytes], [1, 2])
  await ended(one.snapshots!.remove(monday))
  assert.equal(cloud.allSnapshots.length, 2)
  assert.deepEqual(cloud.wrongs, [])
})
