import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { HandClock } from '../../testing/clock.ts'
import { Addresses, RESTS_MS } from './addresses.ts'
import { candidatesFor, parseAddress, parseSubnet, printAddress, printSubnet, sizeOf } from './subnets.ts'

const SMALL = parseSubnet('10.1.2.0/29') // five containers

const taken = async (addresses: Addresses, count: number): Promise<string[]> => {
  const all: string[] = []
  for (let i = 0; i < count; i += 1) all.push(await addresses.take(SMALL))
  return all
}

test('an address that was freed comes back last, and not before it has rested', async () => {
  const clock = new HandClock()
  const addresses = new Addresses({ clock })
  const all = await taken(addresses, 5)
  assert.deepEqual(all.toSorted(), ['10.1.2.2', '10.1.2.3', '10.1.2.4', '10.1.2.5', '10.1.2.6'])
  addresses.free(String(all[3]))
  await assert.rejects(addresses.take(SMALL), { code: 'addresses-full' })
  await clock.advance(RESTS_MS - 1)
  addresses.free(String(all[0]))
  await assert.rejects(addresses.take(SMALL), { code: 'addresses-full' })
  await clock.advance(1)
  assert.equal(await addresses.take(SMALL), all[3])
})

test('an address of a container that was found is not given out', async () => {
  const addresses = new Addresses({ clock: new HandClock() })
  addresses.isUsed('10.1.2.4')
  assert.deepEqual((await taken(addresses, 4)).toSorted(), ['10.1.2.2', '10.1.2.3', '10.1.2.5', '10.1.2.6'])
  await assert.rejects(addresses.take(SMALL), { code: 'addresses-full' })
})

test('a run that comes after another goes on behind what that one gave out', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-addresses-'))
  try {
    const wide = parseSubnet('10.1.0.0/18')
    const given = new Set<string>()
    for (let run = 0; run < 5; run += 1) {
      const addresses = new Addresses({ clock: new HandClock(), file: join(folder, 'addresses') })
      for (let i = 0; i < 50 + run * 30; i += 1) given.add(await addresses.take(wide))
    }
    assert.equal(given.size, 50 + 80 + 110 + 140 + 170)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a subnet is tried unless the machine reaches it already, and two names begin at different ones', () => {
  const [first, second] = candidatesFor('shadow-a', [])
  assert.ok(first !== undefined && second !== undefined)
  assert.equal(second.base, first.base + sizeOf(first))
  assert.deepEqual(candidatesFor('shadow-a', [parseSubnet(`${printAddress(first.base + 5)}/32`)])[0], second)
  assert.deepEqual(candidatesFor('shadow-a', [parseSubnet('10.0.0.0/8')]), [])
  assert.notDeepEqual(candidatesFor('shadow-b', [])[0], first)
  assert.equal(printSubnet(parseSubnet('10.1.65.3/18')), '10.1.64.0/18')
  assert.equal(printAddress(parseAddress('192.168.0.254')), '192.168.0.254')
})
