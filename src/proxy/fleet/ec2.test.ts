import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { fleetName, serverName } from '../../model/fleet.ts'
import { HandClock } from '../../testing/clock.ts'
import { describeFleet } from '../../testing/fleet-contract.ts'
import { ServerCloud } from '../../testing/server-cloud.ts'
import { type Ec2Terms, ec2 } from './ec2.ts'
import { FleetError, type FleetFailure } from './fleet.ts'
import { ec2Prices } from './prices.ts'

const name = fleetName('prod')
const TERMS: Ec2Terms = { name, types: ['m7g.large'], subnets: ['s-a', 's-b'], spot: 'off' }

function region({ lagMs = 0 } = {}) {
  const clock = new HandClock()
  const cloud = new ServerCloud({ clock, subnets: { 's-a': 'eu-1a', 's-b': 'eu-1b' }, lagMs })
  const driver = (terms: Partial<Ec2Terms> = {}) =>
    ec2({
      terms: { ...TERMS, ...terms },
      api: cloud,
      prices: ec2Prices(),
      userData: ({ node, joinToken }) => `${node} ${joinToken}`,
      clock,
    })
  let tokens = 0
  const order = (number = 1, offer = 'm7g.large@s-a', unique = 'abcdef') => ({
    number,
    node: serverName(name, number, unique),
    offer,
    joinToken: async () => `token-${++tokens}`,
  })
  return { clock, cloud, driver, order }
}

const failsWith = (failure: FleetFailure, action: Promise<unknown>, said = /./) =>
  assert.rejects(action, error => error instanceof FleetError && error.failure === failure && said.test(error.message))

for (const lagMs of [0, 20_000])
  describeFleet(`ec2, with lists that lag ${lagMs} ms behind`, () => {
    const { clock, cloud, driver, order } = region({ lagMs })
    return {
      fleet: driver(),
      another: driver,
      order: order(),
      settle: () => clock.advance(60_000),
      started: () => cloud.all.length,
      loseAnswer: () => cloud.failNext('run', 'no-answer', { isCarriedOut: true }),
    }
  })

describe('the driver ec2', () => {
  test('neither lists nor touches what others made, or another fleet', async () => {
    const { cloud, driver, order } = region()
    cloud.addForeign({})
    cloud.addForeign({ 'shadow:cluster': 'other', 'shadow:server': '1', 'shadow:node': 'other-1-abcdef' })
    cloud.addForeign({ 'shadow:cluster': 'prod', Name: 'a node that joined by hand' })
    cloud.addForeign({ 'shadow:cluster': 'prod', 'shadow:server': '2', 'shadow:node': 'prod-1-abcdef' })
    assert.deepEqual(await driver().list(), [])
    await driver().start(order())
    assert.equal((await driver().list()).length, 1)
    assert.deepEqual(cloud.wrongs, [])
  })

  test('says that a subnet has no capacity, and buys in another one', async () => {
    const { cloud, driver, order } = region()
    cloud.full.add('m7g.large@s-a')
    await failsWith('full', driver().start(order()), /InsufficientInstanceCapacity/)
    await driver().start(order(1, 'm7g.large@s-b', 'zzzzzz'))
    assert.deepEqual(
      (await driver().list()).map(({ zone }) => zone),
      ['eu-1b'],
    )
  })

  test('gives one order a single outcome though EC2 forgets none: mismatching arguments are looked for, then refused', async () => {
    const { clock, cloud, driver, order } = region()
    cloud.full.add('m7g.large@s-a')
    await failsWith('full', driver().start(order()))
    cloud.full.clear()
    const fleet = driver()
    await failsWith('unsure', fleet.start(order()), /ordered before, and is not listed/)
    await clock.advance(120_001)
    await failsWith('refused', fleet.start(order()))
    assert.equal(cloud.all.length, 0)
  })

  for (const [failure, becomes] of [
    ['throttled', 'unsure'],
    ['no-answer', 'unsure'],
    ['called-off', 'unsure'],
    ['denied', 'refused'],
    ['refused', 'refused'],
  ] as const)
    test(`takes ${failure} for ${becomes}, and the order can be given again`, async () => {
      const { cloud, driver, order } = region()
      cloud.failNext('run', failure)
      await failsWith(
        becomes,
        driver().start(order()),
        failure === 'denied' ? /iam-proxy.json/ : /EC2 cannot make prod-1-abcdef/,
      )
      await driver().start(order())
      assert.equal(cloud.all.length, 1)
    })

  test('offers each type in each subnet with its zone, and what is preferred first', async () => {
    const { driver } = region()
    const offers = await driver({ types: ['m7g.large', 'm7i.large'], spot: 'prefer' }).offers()
    assert.deepEqual(
      offers.map(({ key }) => key),
      [
        'm7g.large/spot@s-a',
        'm7g.large/spot@s-b',
        'm7i.large/spot@s-a',
        'm7i.large/spot@s-b',
        'm7g.large@s-a',
        'm7g.large@s-b',
        'm7i.large@s-a',
        'm7i.large@s-b',
      ],
    )
    assert.deepEqual(offers[1]?.zone, 'eu-1b')
    assert.deepEqual(await driver({ types: [], subnets: [] }).offers(), [{ key: 'template' }])
  })

  test('a spot instance cannot be stopped, and one that EC2 takes away has ended', async () => {
    const { clock, cloud, driver, order } = region()
    await driver().start(order(1, 'm7g.large/spot@s-a'))
    await clock.advance(10_000)
    const [spot] = await driver().list()
    assert.deepEqual([spot?.canStop, spot?.canEnd, spot?.offer], [false, true, 'm7g.large/spot@s-a'])
    cloud.reclaim(spot?.id ?? '')
    assert.equal((await driver().list())[0]?.state, 'ending')
    await clock.advance(10_000)
    assert.equal((await driver().list())[0]?.state, 'ended')
  })

  test('a machine that is stopping is not started before it has stopped', async () => {
    const { clock, driver, order } = region()
    const fleet = driver()
    await fleet.start(order())
    await clock.advance(10_000)
    const [server] = await fleet.list()
    await fleet.stop(server!)
    await failsWith('unsure', fleet.start(order()), /is stopping/)
    await clock.advance(10_000)
    await fleet.start(order())
    await clock.advance(10_000)
    assert.equal((await fleet.list())[0]?.state, 'running')
  })
})
