import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type NodeName, nodeName } from '../../model/names.ts'
import { HandClock } from '../../testing/clock.ts'
import { describeFleet } from '../../testing/fleet-contract.ts'
import { FleetError } from './fleet.ts'
import { staticFleet } from './static.ts'

const node = nodeName('node-1')
const order = { number: 1, node, offer: '', joinToken: async () => 'unused' }

/** Machines that come up and go down some seconds after they were told. */
function machines() {
  const clock = new HandClock()
  const up = new Set<NodeName>()
  const starts: NodeName[] = []
  const later = (change: () => void) => async () => void clock.after(10_000, change)
  const driver = () =>
    staticFleet({
      nodes: [node, nodeName('node-2')],
      isUp: name => up.has(name),
      start: name => {
        starts.push(name)
        return later(() => up.add(name))()
      },
      stop: name => later(() => up.delete(name))(),
      usdPerHour: 0.1,
      clock,
    })
  return { clock, up, starts, driver }
}

describeFleet('static', () => {
  const { clock, starts, driver } = machines()
  return { fleet: driver(), another: driver, order, settle: () => clock.advance(180_000), started: () => starts.length }
})

test('a machine without a command is neither started nor stopped by the fleet', async () => {
  const fleet = staticFleet({ nodes: [node], isUp: () => false, clock: new HandClock() })
  const [server] = await fleet.list()
  assert.deepEqual([server?.state, server?.canStart, server?.canStop, server?.canEnd], ['stopped', false, false, false])
  assert.deepEqual(await fleet.offers(), [])
})

test('a command that fails is told with its error, and is given again', async () => {
  const failing = async () => {
    throw new Error('ended with 1: no route to host')
  }
  const fleet = staticFleet({ nodes: [node], isUp: () => false, start: failing, clock: new HandClock() })
  for (const _ of [1, 2])
    await assert.rejects(
      fleet.start(order),
      error => error instanceof FleetError && /start node-1 failed: ended with 1: no route to host/.test(error.message),
    )
  assert.equal((await fleet.list())[0]?.state, 'stopped')
})

test('a machine that was told to start counts as on its way for two minutes, and is then started again', async () => {
  const { clock, starts, driver, up } = machines()
  const fleet = driver()
  await fleet.start(order)
  await clock.advance(10_001)
  up.clear() // it came up and died
  await fleet.start(order)
  assert.equal((await fleet.list())[0]?.state, 'pending')
  assert.equal(starts.length, 1)
  await clock.advance(110_000)
  await fleet.start(order)
  assert.equal(starts.length, 2)
})
