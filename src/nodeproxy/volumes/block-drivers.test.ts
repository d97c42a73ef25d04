import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { volumeId } from '../../model/names.ts'
import type { VolumeDriver } from '../../model/task.ts'
import type { BlockDriver } from './block-driver.ts'
import { BlockDrivers } from './block-drivers.ts'

const id = volumeId('blog')
const file = (): string => '/volumes/blog/image.ext4'
const driver = (fields: Partial<BlockDriver>): BlockDriver => fields as BlockDriver

const drivers = new BlockDrivers({
  loop: driver({ excludes: true, file }),
  pool: driver({ excludes: false, file }),
  ebs: driver({ excludes: true, zone: 'eu-1a' }),
})

for (const [name, terms] of [
  ['loop', { expires: false, excludes: true }],
  ['pool', { expires: true, excludes: false }],
  ['ebs', { expires: true, excludes: true, zone: 'eu-1a' }],
] as const)
  test(`the lease of a volume of the driver ${name}: ${JSON.stringify(terms)}`, () => {
    assert.deepEqual(drivers.termsOf({ id, driver: name }), terms)
    assert.equal(drivers.expires({ id, driver: name }), terms.expires)
  })

test('the zone of a machine is that of its driver that has zones', () => {
  assert.equal(drivers.zone, 'eu-1a')
  assert.equal(new BlockDrivers({ loop: driver({ excludes: true, file }) }).zone, undefined)
})

for (const [name, hint] of [
  ['pool', /SHADOW_POOL/],
  ['ebs', /SHADOW_EBS/],
] as readonly [VolumeDriver, RegExp][])
  test(`a node without the driver ${name} says which setting opens it`, () => {
    const without = new BlockDrivers({ loop: driver({ excludes: true, file }) })
    assert.throws(
      () => without.of({ id, driver: name }),
      error => isFailure(error, 'no-node') && hint.test(error.details.hint ?? ''),
    )
  })
