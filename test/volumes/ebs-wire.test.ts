import assert from 'node:assert/strict'
import { EC2Client, RunInstancesCommand } from '@aws-sdk/client-ec2'
import { afterAll, describe, test } from 'vitest'
import { asEc2Error, isEc2 } from '../../src/lib/ec2/failures.ts'
import { ebsSdk } from '../../src/nodeproxy/volumes/ebs-sdk.ts'
import { moto } from '../tools/ec2-server.ts'

// moto attaches at once, twice and across zones: these tests show that our calls and its answers are understood, and nothing more.
Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })
const region = 'eu-central-1'
const zone = 'eu-central-1a'
const server = await moto()
afterAll(() => server?.[Symbol.asyncDispose]())
const isMissing = server === undefined
if (isMissing && process.env['CI'] !== undefined)
  throw new Error('CI tests the wire of EC2, and moto_server is not here')

const tags = { 'shadow:cluster': 'test', 'shadow:volume': 'blog' }

describe.skipIf(isMissing)(
  `EC2's wire${isMissing ? ' (skipped: make test installs moto_server from PyPI)' : ''}`,
  () => {
    const open = () => ebsSdk({ region, endpoint: server!.endpoint })

    async function runInstance(): Promise<string> {
      const client = new EC2Client({ region, endpoint: server!.endpoint })
      const run = new RunInstancesCommand({
        ImageId: 'ami-12c6146b',
        MinCount: 1,
        MaxCount: 1,
        Placement: { AvailabilityZone: zone },
      })
      return (await client.send(run)).Instances?.[0]?.InstanceId ?? ''
    }

    test('a disk is made with its tags, found by them, attached, grown, detached and deleted', async () => {
      const api = await open()
      const instance = await runInstance()
      const made = await api.create({ token: 'a token', zone, sizeGiB: 2, tags })
      assert.match(made.id, /^vol-[0-9a-f]{17}$/)
      assert.deepEqual([made.zone, made.sizeGiB, made.tags], [zone, 2, tags])
      assert.equal(await api.growth(made.id), undefined)

      await api.tag(made.id, { 'shadow:state': 'ready' })
      const ready = { ...tags, 'shadow:state': 'ready' }
      const [found, ...others] = await api.disks({ tags: ready })
      assert.deepEqual(found, { ...made, state: 'available', tags: ready })
      assert.deepEqual(others, [])
      assert.deepEqual(await api.disks({ tags: { ...tags, 'shadow:state': 'making' } }), [])

      await api.attach(made.id, instance, '/dev/xvdba')
      const [attached] = await api.disks({ id: made.id })
      assert.equal(attached?.state, 'in-use')
      assert.deepEqual(attached?.attachment, { instance, deviceName: '/dev/xvdba', state: 'attached' })
      assert.deepEqual(
        (await api.disks({ attachedTo: instance, tags })).map(({ id }) => id),
        [made.id],
      )
      await assert.rejects(api.delete(made.id), error => isEc2(error, 'wrong-state'))

      await api.grow(made.id, 3)
      const growth = await api.growth(made.id)
      assert.equal(growth?.toGiB, 3)

      await api.detach(made.id, instance, { force: false })
      const [detached] = await api.disks({ id: made.id })
      assert.equal(detached?.attachment, undefined)
      await api.delete(made.id)
      assert.deepEqual(await api.disks({ id: made.id }), [])
      await assert.rejects(api.delete(made.id), error => isEc2(error, 'not-found'))
    })

    test('a snapshot is taken with its tags, found by them, made a disk of, and deleted', async () => {
      const api = await open()
      const disk = await api.create({ token: 'another token', zone, sizeGiB: 2, tags })
      const named = { ...tags, 'shadow:snapshot': 'monday' }
      const taken = await api.snapshot(disk.id, named)
      assert.match(taken.id, /^snap-[0-9a-f]+$/)
      assert.deepEqual([taken.sizeGiB, taken.tags], [2, named])
      assert.ok(taken.orderedAt > 0)
      assert.deepEqual(await api.snapshots(named), [{ ...taken, state: 'completed' }])
      assert.deepEqual(await api.snapshots({ ...named, 'shadow:snapshot': 'tuesday' }), [])
      const copy = await api.create({ token: 'a third token', zone, sizeGiB: 3, snapshot: taken.id, tags })
      assert.equal(copy.sizeGiB, 3)
      await api.deleteSnapshot(taken.id)
      assert.deepEqual(await api.snapshots(named), [])
      await assert.rejects(api.deleteSnapshot(taken.id), error => isEc2(error, 'not-found'))
    })

    test('a disk that is not there is not found', async () => {
      const api = await open()
      const missing = 'vol-0123456789abcdef0'
      assert.deepEqual(await api.disks({ id: missing }), [])
      const instance = await runInstance()
      await assert.rejects(api.attach(missing, instance, '/dev/xvdba'), error => isEc2(error, 'not-found'))
    })

    test('an instance tells its state, and one that is not there has none', async () => {
      const api = await open()
      assert.equal(await api.instanceState(await runInstance()), 'running')
      assert.equal(await api.instanceState('i-0123456789abcdef0'), undefined)
    })
  },
)

/** An error as the SDK throws it. */
const sdkError = (name: string, message = 'why', $fault?: string): Error =>
  Object.assign(new Error(message), { name, ...($fault && { $fault }) })

for (const [error, failure] of [
  [sdkError('VolumeInUse', '', 'client'), 'wrong-state'],
  [sdkError('InvalidVolumeModification.NotFound', '', 'client'), 'not-found'],
  [sdkError('RequestLimitExceeded', '', 'client'), 'throttled'],
  [sdkError('SnapshotCreationPerVolumeRateExceeded', '', 'client'), 'throttled'],
  [sdkError('AttachmentLimitExceeded', '', 'client'), 'no-slot'],
  [sdkError('InvalidVolume.ZoneMismatch', '', 'client'), 'other-zone'],
  [
    sdkError(
      'InvalidParameterValue',
      'Invalid value /dev/xvdba for unixDevice. Attachment point /dev/xvdba is already in use',
      'client',
    ),
    'device-name-taken',
  ],
  [sdkError('InvalidParameterValue', 'Invalid value', 'client'), 'refused'],
  [sdkError('UnauthorizedOperation', '', 'client'), 'denied'],
  [sdkError('InternalError', '', 'server'), 'no-answer'],
  [sdkError('TimeoutError'), 'no-answer'],
] as const)
  test(`the SDK's ${error.name} (${error.message}) is ${failure}`, () => {
    assert.equal(asEc2Error(error).failure, failure)
  })
