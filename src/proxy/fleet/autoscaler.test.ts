import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import type { AppName } from '../../model/names.ts'
import { FleetWorld } from '../../testing/fleet-world.ts'
import { FleetError } from './fleet.ts'

const GIB = 2 ** 30
const MINUTE = 60_000
const app = (name: string, gib = 1) => ({ app: name as AppName, bytes: gib * GIB })

/** A world with one front and one server that serves. */
async function serving(options: Parameters<FleetWorld['front']>[1] = {}) {
  const world = new FleetWorld()
  const front = await world.front('front-1', options)
  front.demand.refused(app('blog'))
  await world.run(front, MINUTE)
  assert.equal(world.node.state, 'healthy')
  return { world, front, node: world.node.name }
}

/** Looks until the fleet drains a server. */
async function untilDrained(
  world: FleetWorld,
  { autoscaler }: Awaited<ReturnType<FleetWorld['front']>>,
): Promise<void> {
  for (let looks = 0; world.told.length === 0 && looks < 200; looks++) {
    await world.pass(10_000)
    await autoscaler.look()
  }
  assert.match(world.told[0] ?? '', /^drained/)
}

const running = ({ cloud }: FleetWorld): number => cloud.alive.filter(({ state }) => state === 'running').length
const phases = async (world: FleetWorld) =>
  (await world.report()).servers.map(({ number, phase }) => `${number} ${phase}`)

describe('a fleet', () => {
  test('grows when an app is refused, from nothing, and is gone when nobody needs it any more', async () => {
    const { world, front, node } = await serving()
    assert.deepEqual(await phases(world), ['1 serving'])
    assert.match(node, /^prod-1-[0-9a-f]{6}$/)
    await world.run(front, 11 * MINUTE)
    assert.deepEqual(world.told, [`drained ${node}`, `removed ${node}`, `ended ${node}`])
    assert.deepEqual([world.cloud.alive.length, world.nodes.size, await phases(world)], [0, 0, []])
    assert.deepEqual(world.cloud.wrongs, [])
  })

  test('keeps a server that is in use, and gives it up some time after that', async () => {
    const { world, front, node } = await serving()
    world.change(node, { awake: 1, room: { reservableBytes: 4 * GIB, freeBytes: 3 * GIB, idleBytes: 0 } })
    await world.run(front, 30 * MINUTE)
    assert.deepEqual(await phases(world), ['1 serving'])
    world.change(node, { awake: 0, room: { reservableBytes: 4 * GIB, freeBytes: 4 * GIB, idleBytes: 0 } })
    await world.run(front, 9 * MINUTE)
    assert.deepEqual(await phases(world), ['1 serving'])
    await world.run(front, 2 * MINUTE)
    assert.equal(world.cloud.alive.length, 0)
  })

  test('waits for the last app to leave a server that it gives up', async () => {
    const { world, front, node } = await serving()
    await untilDrained(world, front)
    world.change(node, { awake: 1, toLeave: 1 }) // it woke after the last look
    await world.run(front, 5 * MINUTE)
    assert.equal(running(world), 1)
    world.change(node, { awake: 0, toLeave: 0 })
    await world.run(front, 30_000)
    assert.equal(world.cloud.alive.length, 0)
  })

  test('stops a server for later, and starts it again rather than a new one', async () => {
    const { world, front, node } = await serving({ terms: { standby: 1 } })
    await world.run(front, 12 * MINUTE)
    assert.deepEqual(await phases(world), ['1 standby'])
    assert.deepEqual(
      world.cloud.all.map(({ state }) => state),
      ['stopped'],
    )
    front.demand.refused(app('blog'))
    await world.run(front, MINUTE)
    assert.deepEqual(await phases(world), ['1 serving'])
    assert.equal(world.cloud.all.length, 1)
    assert.equal(world.node.name, node)
    assert.equal(world.node.cordon, undefined)
  })

  test('takes a server back that it was giving up, when it is needed again', async () => {
    const { world, front, node } = await serving()
    await untilDrained(world, front)
    world.change(node, { awake: 1, toLeave: 1, room: { reservableBytes: 4 * GIB, freeBytes: 4 * GIB, idleBytes: 0 } })
    front.demand.refused(app('shop'))
    await world.run(front, MINUTE)
    assert.deepEqual(await phases(world), ['1 serving'])
    assert.deepEqual([world.node.cordon, world.cloud.all.length], [undefined, 1])
  })

  test('neither stops nor ends a server with volumes on its disk, and says so', async () => {
    const { world, front, node } = await serving()
    world.withVolumes.add(node)
    await world.run(front, 30 * MINUTE)
    assert.equal(running(world), 1)
    assert.equal(world.node.cordon, undefined)
    assert.match((await world.report()).report?.servers[0]?.note ?? '', /one volume is on the disk/)
    world.withVolumes.clear()
    await world.run(front, 25 * MINUTE)
    assert.equal(world.cloud.alive.length, 0)
  })

  test('never has more servers than its ceiling, whatever is wanted', async () => {
    const world = new FleetWorld()
    const front = await world.front('front-1')
    for (let i = 0; i < 20; i++) front.demand.refused(app(`app-${i}`, 3))
    await world.run(front, MINUTE)
    assert.equal(running(world), 2)
    assert.match((await world.report()).report?.notes.join() ?? '', /its 2 servers already/)
  })

  test('ends a server that never becomes a node, and waits longer each time before the next one', async () => {
    const world = new FleetWorld()
    const front = await world.front('front-1')
    world.joins = false
    const bought: number[] = []
    for (let at = 0; at < 120; at++) {
      front.demand.refused(app('blog'))
      await world.run(front, MINUTE)
      if (world.cloud.all.length > bought.length) bought.push(at)
    }
    assert.deepEqual([world.cloud.most, world.cloud.alive.length <= 1], [1, true])
    // Ten minutes until each is ended, and then 1, 2, 4, 8, 16 … minutes.
    const between = bought.slice(1).map((at, index) => at - bought[index]!)
    assert.deepEqual(
      between.map(gap => gap > 10),
      between.map(() => true),
    )
    assert.ok(
      between.every((gap, index) => index === 0 || gap > between[index - 1]!),
      String(between),
    )
    world.joins = true
    for (let at = 0; at < 90; at++) {
      front.demand.refused(app('blog'))
      await world.run(front, MINUTE)
    }
    assert.deepEqual(await phases(world), ['1 serving'])
  })

  test('buys in another subnet where one has no capacity; where none has, it says so and tries again', async () => {
    const world = new FleetWorld()
    const front = await world.front('front-1')
    world.cloud.full.add('m7g.large@s-a')
    front.demand.refused(app('blog'))
    await front.autoscaler.look()
    assert.deepEqual(
      world.cloud.all.map(({ zone }) => zone),
      ['eu-1b'],
    )
    const none = new FleetWorld()
    const other = await none.front('front-1')
    for (const subnet of ['s-a', 's-b']) none.cloud.full.add(`m7g.large@${subnet}`)
    other.demand.refused(app('blog'))
    await other.autoscaler.look()
    assert.match((await none.report()).report?.notes.join() ?? '', /no capacity for m7g.large@s-a, m7g.large@s-b/)
    assert.deepEqual(await phases(none), [])
    none.cloud.full.clear()
    await none.pass(5 * MINUTE)
    other.demand.refused(app('blog'))
    await none.run(other, MINUTE)
    assert.deepEqual(await phases(none), ['1 serving'])
  })

  for (const failure of ['throttled', 'no-answer'] as const)
    for (const isCarriedOut of [true, false])
      test(`makes one server though EC2 answers ${failure}, and ${isCarriedOut ? 'had' : 'had not'} taken the order`, async () => {
        const world = new FleetWorld({ lagMs: 15_000 })
        const front = await world.front('front-1')
        front.demand.refused(app('blog'))
        for (let i = 0; i < 3; i++) world.cloud.failNext('run', failure, { isCarriedOut: isCarriedOut && i === 0 })
        await world.run(front, 2 * MINUTE)
        assert.deepEqual(await phases(world), ['1 serving'])
        assert.equal(world.cloud.all.length, 1)
      })

  test('says that EC2 does not answer, changes nothing meanwhile, and goes on afterwards', async () => {
    const { world, front } = await serving()
    world.cloud.failNext('machines', 'throttled')
    await assert.rejects(front.autoscaler.look(), FleetError)
    assert.match(
      (await world.report()).report?.notes.join() ?? '',
      /not looked at since 2.*EC2 cannot list its servers now: throttled/,
    )
    assert.deepEqual(await phases(world), ['1 serving'])
    await world.run(front, 10_000)
    assert.deepEqual((await world.report()).report?.notes, [])
  })

  test('forgets a server that EC2 takes away, lets others have its volumes, and replaces it if it is needed', async () => {
    const { world, front, node } = await serving({ ec2: { spot: 'on' } })
    world.cloud.reclaim(world.cloud.all[0]!.id)
    front.demand.refused(app('blog'))
    await world.run(front, MINUTE)
    assert.deepEqual(world.told, [`ended ${node}`])
    assert.deepEqual(await phases(world), ['2 serving'])
    assert.equal(world.cloud.alive.length, 1)
  })

  test('does not take a machine that is not listed for one that has ended: its node may be alive, and write', async () => {
    const { world, front, node } = await serving()
    const { tags } = world.cloud.all[0]!
    tags['shadow:cluster'] = 'by mistake'
    await world.run(front, 8 * MINUTE)
    assert.deepEqual([world.told, await phases(world)], [[], ['1 serving']])
    assert.match((await world.report()).report?.servers[0]?.note ?? '', /not listed any more, but .* still takes apps/)
    tags['shadow:cluster'] = 'prod'
    await world.run(front, MINUTE)
    assert.deepEqual(await phases(world), ['1 serving'])
    tags['shadow:cluster'] = 'by mistake'
    world.cloud.reclaim(world.cloud.all[0]!.id)
    await world.run(front, 25 * MINUTE)
    assert.deepEqual([world.told, await phases(world)], [[`removed ${node}`], []])
  })

  test('leaves machines of others alone, and says of one with the number of another server that it is there', async () => {
    const { world, front } = await serving()
    world.cloud.addForeign({ 'shadow:cluster': 'prod', Name: 'master' })
    const stray = world.cloud.addForeign({
      'shadow:cluster': 'prod',
      'shadow:server': '1',
      'shadow:node': 'prod-1-zzzzzz',
    })
    await world.run(front, 12 * MINUTE)
    assert.deepEqual(
      world.cloud.all.map(({ state }) => state),
      ['terminated', 'running', 'running'],
    )
    assert.deepEqual(world.cloud.wrongs, [])
    assert.match((await world.report()).report?.servers[0]?.machine ?? '', new RegExp(stray))
  })

  test('only says what it would do, on a dry run', async () => {
    const world = new FleetWorld()
    const front = await world.front('front-1', { isDryRun: true })
    front.demand.refused(app('blog'))
    await world.run(front, MINUTE)
    const { report } = await world.report()
    assert.deepEqual(world.cloud.calls, [])
    assert.deepEqual(
      report?.plan.map(({ do: what, offer, usdPerHour }) => [what, offer, usdPerHour]),
      [['buy', 'm7g.large@s-a', 0.0816]],
    )
    assert.equal(report?.usdPerHour, 0)
  })
})

describe('of several fronts', () => {
  test('one runs the fleet for what all of them want', async () => {
    const world = new FleetWorld()
    const one = await world.front('front-1')
    const two = await world.front('front-2')
    await one.autoscaler.look()
    two.demand.refused(app('blog'))
    await two.autoscaler.look()
    assert.equal(world.cloud.all.length, 0)
    await one.autoscaler.look()
    assert.equal(world.cloud.all.length, 1)
    await two.autoscaler.look()
    assert.equal(world.cloud.all.length, 1)
  })

  test('the next one goes on with the servers of the last one, and makes none anew', async () => {
    const { world, node } = await serving()
    const two = await world.front('front-2')
    await world.pass(60_000)
    two.demand.refused(app('shop'))
    await world.run(two, MINUTE)
    assert.deepEqual([world.node.name, world.cloud.all.length], [node, 1])
    await world.run(two, 12 * MINUTE)
    assert.equal(world.cloud.alive.length, 0)
  })

  /** One front is stopped in the middle of the call, another one leads meanwhile, and the first one goes on. */
  for (const [where, isFull] of [
    ['before its order is taken', false],
    ['before its order is taken, where there was no capacity for that order', true],
  ] as const)
    test(`one that was paused ${where}, beyond its lease, makes no server beyond the ceiling`, async () => {
      const world = new FleetWorld()
      const paused = await world.front('front-1', { terms: { max: 1 } })
      const other = await world.front('front-2', { terms: { max: 1 } })
      const gate = Promise.withResolvers<void>()
      let isFirst = true
      world.cloud.before = async call => {
        if (call !== 'run' || !isFirst) return
        isFirst = false
        await gate.promise
      }
      paused.demand.refused(app('blog'))
      const looking = paused.autoscaler.look().catch((error: unknown) => error)
      await world.pass(61_000)
      if (isFull) for (const subnet of ['s-a', 's-b']) world.cloud.full.add(`m7g.large@${subnet}`)
      const demand = async (times: number): Promise<void> => {
        for (let i = 0; i < times; i++) {
          other.demand.refused(app('blog'))
          await world.run(other, 30_000)
        }
      }
      await demand(2)
      world.cloud.full.clear()
      gate.resolve()
      await looking
      await demand(60)
      await world.run(paused, 10_000)
      assert.equal(world.cloud.most, 1)
      assert.deepEqual(await phases(world), ['1 serving'])
    })

  test('one that was paused beyond its lease before it drains, stops or ends a server does nothing of it', async () => {
    const calls: string[] = []
    let stop: Promise<void> | undefined
    const world = new FleetWorld()
    const paused = await world.front('front-1', {
      before: async call => {
        calls.push(call)
        if (call === 'drainServer') await stop
      },
    })
    const other = await world.front('front-2')
    paused.demand.refused(app('blog'))
    await world.run(paused, 9 * MINUTE)
    const gate = Promise.withResolvers<void>()
    stop = gate.promise
    await world.pass(2 * MINUTE)
    const looking = paused.autoscaler.look().catch((error: unknown) => error)
    await world.pass(61_000)
    await world.run(other, 20_000)
    world.change(world.node.name, { awake: 1, cordon: undefined })
    gate.resolve()
    const error = await looking
    assert.ok(error instanceof ShadowError && error.code === 'changed', String(error))
    assert.equal(world.node.cordon, undefined)
  })

  test('one that dies before any of its calls leaves nothing behind that the next one does not make good', async () => {
    class Died extends Error {}
    for (let calls = 0; ; calls++) {
      const world = new FleetWorld()
      let left = calls
      let isDead = false
      let saves = 0
      // The looks between two changes are all alike: of their calls, some saves are enough.
      const die = (call: string): void => {
        saves = call === 'saveFleet' ? saves + 1 : call === 'leaseFleet' ? saves : 0
        if (call === 'leaseFleet' || saves > 2 || left-- > 0) return
        isDead = true
        throw new Died()
      }
      const mortal = await world.front('front-1', { before: die })
      world.cloud.before = call => {
        if (!isDead && call !== 'machines' && call !== 'zones') die(call)
      }
      const until = async (ms: number): Promise<void> => {
        for (let passed = 0; passed < ms && !isDead; passed += 10_000) {
          await mortal.autoscaler.look().catch(error => {
            if (!(error instanceof Died) && !(error instanceof FleetError)) throw error
          })
          await world.pass(10_000)
        }
      }
      mortal.demand.refused(app('blog'))
      await until(14 * MINUTE)
      world.cloud.before = () => undefined
      const next = await world.front('front-2')
      await world.pass(61_000)
      next.demand.refused(app('blog'))
      await world.run(next, 2 * MINUTE)
      assert.match((await phases(world)).join(), /(^|,)[12] serving$/, `after ${calls} calls`)
      assert.equal(running(world), 1, `after ${calls} calls`)
      await world.run(next, 14 * MINUTE)
      assert.equal(world.cloud.alive.length, 0, `after ${calls} calls`)
      if (isDead) continue
      assert.ok(calls > 10, `there were ${calls} calls`)
      break
    }
  })
})
