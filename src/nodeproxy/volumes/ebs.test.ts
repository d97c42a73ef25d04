import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type FailureCode, isFailure } from '../../lib/errors.ts'
import { noLog } from '../../lib/log.ts'
import { volumeId } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { Cloud } from '../../testing/cloud.ts'
import type { BlockDriver, Device } from './block-driver.ts'
import { ebs } from './ebs.ts'
import type { DiskDevices } from './nvme.ts'

const GIB = 2 ** 30
const blog = volumeId('blog')
const { signal } = new AbortController()
const format = async (): Promise<void> => undefined

/** A zone with two machines of one cluster, and one machine in another zone. */
function region({ lagMs = 0 } = {}) {
  const clock = new HandClock()
  const devices = new Map<string, string>()
  const sizes = new Map<string, number>()
  const mounted = new Set<string>()
  const cloud: Cloud = new Cloud({
    clock,
    lagMs,
    onAttached: (disk, instance) => {
      devices.set(disk, instance)
      sizes.set(disk, (cloud.all.find(({ id }) => id === disk)?.sizeGiB ?? 0) * GIB)
    },
    onDetached: disk => void devices.delete(disk),
    onGrown: (disk, sizeGiB) => void sizes.set(disk, sizeGiB * GIB),
  })
  cloud.start('i-1', 'eu-1a')
  cloud.start('i-2', 'eu-1a')
  cloud.start('i-far', 'eu-1b')

  const devicesOf = (instance: string): DiskDevices => ({
    find: async disk => (devices.get(disk) === instance ? (`/dev/${disk}` as Device) : undefined),
    bytes: async device => sizes.get(device.slice('/dev/'.length)) ?? 0,
    untilUnused: async (_volume, device) => {
      if (mounted.has(device)) throw new Error(`${device} is mounted`)
    },
  })
  const driver = (instance: string, zone = 'eu-1a'): BlockDriver =>
    ebs({
      api: cloud,
      cluster: 'test',
      machine: { instance, zone },
      devices: devicesOf(instance),
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
  const fails = (code: FailureCode, call: Promise<unknown>, message?: RegExp): Promise<void> =>
    assert.rejects(
      ended(call),
      error => isFailure(error, code) && (message === undefined || message.test(error.message)),
    )
  /** A volume that `i-1` has made and put down again. */
  async function made(driver: BlockDriver): Promise<string> {
    await ended(driver.create(blog, GIB, format, signal, { epoch: 1 }))
    await ended(driver.detach(blog))
    assert.equal(cloud.all.length, 1)
    return cloud.all[0]?.id ?? ''
  }
  return { cloud, clock, driver, ended, fails, made, mounted }
}

test('a volume moves from one machine to another of its zone, and is never on two', async () => {
  const { driver, ended, fails, made, cloud } = region()
  const [one, two] = [driver('i-1'), driver('i-2')]
  await made(one)
  await ended(one.attach(blog, signal))
  await fails('volume-in-use', two.attach(blog, signal), /i-1, which is running, has volume blog/)
  await ended(two.detach(blog))
  assert.equal(cloud.all[0]?.attachment?.instance, 'i-1')
  await ended(one.detach(blog))
  await ended(two.attach(blog, signal))
  assert.equal(cloud.all[0]?.attachment?.instance, 'i-2')
  assert.deepEqual(cloud.wrongs, [])
})

test('a machine waits for a disk that another one is just letting go of', async () => {
  const { driver, ended, made } = region()
  const [one, two] = [driver('i-1'), driver('i-2')]
  await made(one)
  await ended(one.attach(blog, signal))
  const detached = one.detach(blog)
  await ended(Promise.all([detached, two.attach(blog, signal)]).catch(async () => ended(two.attach(blog, signal))))
  assert.deepEqual(await ended(two.attached()), [{ volume: blog, device: (await two.attached())[0]?.device }])
})

test('a disk is taken by force from a terminated machine, and from no other', async () => {
  const { driver, ended, fails, made, cloud } = region()
  const [one, two] = [driver('i-1'), driver('i-2')]
  const disk = await made(one)
  await ended(one.attach(blog, signal))
  cloud.end('i-1', 'stopped')
  await fails('volume-in-use', two.attach(blog, signal), /i-1, which is stopped/)
  cloud.end('i-1', 'terminated')
  await ended(two.attach(blog, signal))
  assert.ok(cloud.calls.includes(`detach ${disk} i-1 by force`))
  assert.deepEqual(cloud.wrongs, [])
})

test('a machine in another zone is told which zone the volume is in', async () => {
  const { driver, fails, made, cloud } = region()
  await made(driver('i-1'))
  await fails('no-node', driver('i-far', 'eu-1b').attach(blog, signal), /zone eu-1a.*eu-1b/)
  assert.ok(!cloud.calls.some(call => call.includes('i-far')))
})

test('lists that lag behind make no second disk, and no second attachment', async () => {
  const { driver, ended, cloud } = region({ lagMs: 4_000 })
  const one = driver('i-1')
  for (let i = 0; i < 2; i++) {
    await ended(one.create(blog, GIB, format, signal, { epoch: 1 }))
    await ended(one.attach(blog, signal))
    await ended(one.detach(blog))
  }
  assert.equal(cloud.all.length, 1)
  assert.equal(cloud.calls.filter(call => call.startsWith('attach')).length, 2)
  await ended(one.remove(blog))
  await ended(one.create(blog, GIB, format, signal, { epoch: 2 }))
  assert.deepEqual(cloud.wrongs, [])
})

for (const call of ['create', 'attach', 'detach', 'grow', 'delete'] as const)
  test(`an answer of ${call} that is lost: the driver looks, and gives no second order`, async () => {
    const { driver, ended, cloud } = region()
    const one = driver('i-1')
    cloud.failNext(call, 'no-answer', { isCarriedOut: true })
    await ended(one.create(blog, GIB, format, signal, { epoch: 1 }))
    await ended(one.grow(blog, 2 * GIB, signal))
    await ended(one.attach(blog, signal))
    await ended(one.detach(blog))
    await ended(one.remove(blog))
    assert.equal(cloud.calls.filter(made => made.startsWith(call)).length, 1)
    assert.deepEqual(await ended(one.attached()), [])
  })

test('a creation that ended after its order is begun anew by the next one: one disk is left', async () => {
  const { driver, ended, fails, cloud } = region()
  cloud.failNext('create', 'no-answer', { isCarriedOut: true })
  const create = driver('i-1').create(blog, GIB, format, signal, { epoch: 1 })
  cloud.failNext('disks', 'throttled') // the look at what there is comes first
  await fails('cloud-failed', create)
  await ended(driver('i-1').create(blog, GIB, format, signal, { epoch: 1 }))
  await ended(driver('i-1').attach(blog, signal))
  assert.equal(cloud.all.length, 1)
})

test('after a failed creation, the spent token of its deleted disk is not used again', async () => {
  const { driver, ended, cloud } = region()
  const failing = driver('i-1').create(blog, GIB, () => Promise.reject(new Error('mkfs ended')), signal, { epoch: 1 })
  await assert.rejects(ended(failing), /mkfs ended/)
  // A driver that was started anew does not remember what was deleted: it waits for the disk in vain first.
  await ended(driver('i-1').create(blog, GIB, format, signal, { epoch: 1 }))
  await ended(driver('i-1').attach(blog, signal))
  assert.equal(cloud.all.length, 1)
})

test('a disk that a dead machine left half-made is deleted, and one of a living machine is left alone', async () => {
  const { driver, ended, fails, cloud } = region()
  const never = new Promise<void>(() => undefined)
  let formatting = false
  void driver('i-1').create(
    blog,
    GIB,
    () => {
      formatting = true
      return never
    },
    signal,
    { epoch: 1 },
  )
  await ended(until(() => formatting))
  await fails('volume-in-use', driver('i-2').create(blog, GIB, format, signal, { epoch: 2 }), /i-1, which is running/)
  cloud.end('i-1', 'terminated')
  await ended(driver('i-2').create(blog, GIB, format, signal, { epoch: 2 }))
  await ended(driver('i-2').attach(blog, signal))
  assert.deepEqual(cloud.wrongs, [])
})

test('an API that throttles is not called again by the driver, and the error says when to try again', async () => {
  const { driver, fails, made, cloud, ended } = region()
  const one = driver('i-1')
  await made(one)
  cloud.failNext('attach', 'throttled')
  const before = cloud.calls.length
  await fails('cloud-failed', one.attach(blog, signal), /EC2 cannot attach volume blog: the API is called too often/)
  assert.equal(cloud.calls.length, before + 1)
  await ended(one.attach(blog, signal))
})

test('a disk that never attaches is detached again, and tried under another name', async () => {
  const { driver, fails, made, cloud, ended } = region()
  const one = driver('i-1')
  const disk = await made(one)
  cloud.neverAttach.add(disk)
  await fails('cloud-failed', one.attach(blog, signal), /does not attach: no device with its serial number/)
  cloud.neverAttach.delete(disk)
  await ended(one.attach(blog, signal))
  assert.equal(cloud.all[0]?.attachment?.deviceName, '/dev/xvdbb')
})

test('a device name that the machine has in use, by a disk that is not ours, is not asked for', async () => {
  const { driver, cloud, ended } = region()
  const attachment = { instance: 'i-1', deviceName: '/dev/xvdba', state: 'attached' as const }
  cloud.addForeign({ zone: 'eu-1a', state: 'in-use', attachment })
  const one = driver('i-1')
  await ended(one.create(blog, GIB, format, signal, { epoch: 1 }))
  assert.equal(cloud.all[1]?.attachment?.deviceName, '/dev/xvdbb')
  cloud.failNext('attach', 'device-name-taken')
  await ended(one.detach(blog))
  await ended(one.attach(blog, signal))
  assert.equal(cloud.all[1]?.attachment?.deviceName, '/dev/xvdbc')
})

test('two volumes that attach at once get names of their own', async () => {
  const { driver, cloud, ended } = region()
  const one = driver('i-1')
  const volumes = ['a', 'b', 'c'].map(name => volumeId(name))
  await ended(Promise.all(volumes.map(volume => one.create(volume, GIB, format, signal, { epoch: 1 }))))
  assert.equal(new Set(cloud.all.map(({ attachment }) => attachment?.deviceName)).size, 3)
})

test('a machine without a free slot says so', async () => {
  const { cloud, driver, fails, made } = region()
  await made(driver('i-1'))
  cloud.start('i-full', 'eu-1a', { slots: 0 })
  await fails('no-volume-slot', driver('i-full').attach(blog, signal), /i-full has as many disks as it can have/)
})

test('a zone without capacity: nothing is made, and the error names the zone', async () => {
  const { cloud, driver, fails } = region()
  cloud.fullZones.add('eu-1a')
  await fails('disk-full', driver('i-1').create(blog, GIB, format, signal, { epoch: 1 }), /zone eu-1a/)
  assert.deepEqual(cloud.all, [])
})

test('a volume grows while it is attached, and not again before EBS allows it', async () => {
  const { driver, ended, fails, cloud } = region()
  const one = driver('i-1')
  await ended(one.create(blog, GIB, format, signal, { epoch: 1 }))
  await ended(one.attach(blog, signal))
  await ended(one.grow(blog, 3 * GIB, signal))
  assert.equal(cloud.all[0]?.sizeGiB, 3)
  await fails('cloud-failed', one.grow(blog, 4 * GIB, signal), /cannot grow yet/)
  await ended(one.grow(blog, 3 * GIB, signal))
})

test('a growth that an earlier run began is waited for', async () => {
  const { driver, ended, made, cloud } = region()
  const disk = await made(driver('i-1'))
  await cloud.grow(disk, 2)
  await ended(driver('i-1').grow(blog, 2 * GIB, signal))
  assert.equal(cloud.all[0]?.sizeGiB, 2)
  assert.equal(cloud.calls.filter(call => call.startsWith('grow')).length, 1)
})

test('a mounted volume is not detached', async () => {
  const { driver, ended, mounted, cloud } = region()
  const one = driver('i-1')
  await ended(one.create(blog, GIB, format, signal, { epoch: 1 }))
  const device = await ended(one.attach(blog, signal))
  mounted.add(device)
  await assert.rejects(ended(one.detach(blog)), /is mounted/)
  assert.ok(!cloud.calls.some(call => call.startsWith('detach')))
})

test('only disks of this cluster are seen: those of others, and of nobody, are never touched', async () => {
  const { driver, ended, cloud, fails } = region()
  cloud.addForeign({ zone: 'eu-1a', tags: { 'shadow:volume': 'blog', 'shadow:state': 'ready' } })
  const other = { 'shadow:cluster': 'other', 'shadow:volume': 'blog', 'shadow:state': 'ready' }
  cloud.addForeign({ zone: 'eu-1a', tags: other })
  const one = driver('i-1')
  await fails('not-found', one.attach(blog, signal))
  await ended(one.remove(blog))
  await ended(one.create(blog, GIB, format, signal, { epoch: 1 }))
  await ended(one.detach(blog))
  await ended(one.remove(blog))
  await ended(until(() => cloud.all.length === 2))
  assert.deepEqual(cloud.wrongs, [])
})

test('two disks that say they are one volume: neither is attached', async () => {
  const { driver, made, cloud, fails } = region()
  await made(driver('i-1'))
  const tags = { 'shadow:cluster': 'test', 'shadow:volume': 'blog', 'shadow:state': 'ready' }
  cloud.addForeign({ zone: 'eu-1a', tags })
  await fails('volume-broken', driver('i-1').attach(blog, signal), /two disks say/)
})

/** Resolves when the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(resolve => setImmediate(resolve))
}
