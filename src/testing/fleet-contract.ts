import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import type { NodeName } from '../model/names.ts'
import { type Fleet, FleetError, type FleetFailure, type Order, type Server } from '../proxy/fleet/fleet.ts'

/** A fleet without a machine that runs. */
type Opened = {
  readonly fleet: Fleet
  /** A driver on the same machines, as after a restart of the front, or in another front. */
  readonly another: () => Fleet
  /** An order for a machine that there is, or that can be bought. */
  readonly order: Order
  /** Lets time pass until every change has come about, and lists show it. */
  readonly settle: () => Promise<void>
  /** How often a machine was started by the calls so far. */
  readonly started: () => number
  /** Makes the next start be carried out, with its answer lost; left out where no answer can get lost. */
  readonly loseAnswer?: () => void
}

/** What every driver of a fleet must do. */
export function describeFleet(name: string, open: () => Opened): void {
  describe(`fleet ${name}`, () => {
    const stateOf = async (fleet: Fleet, node: NodeName): Promise<Server['state'] | undefined> =>
      (await serverOf(fleet, node))?.state
    const serverOf = async (fleet: Fleet, node: NodeName) => (await fleet.list()).find(one => one.node === node)
    const there = async (fleet: Fleet, node: NodeName): Promise<Server> => {
      const server = await serverOf(fleet, node)
      assert.ok(server, `${node} is not listed`)
      return server
    }

    test('an order becomes a running machine, and the same order given again, by anybody, no second one', async () => {
      const { fleet, another, order, settle, started } = open()
      await fleet.start(order)
      await settle()
      await fleet.start(order)
      await another().start(order)
      await settle()
      assert.equal(await stateOf(fleet, order.node), 'running')
      assert.equal((await there(fleet, order.node)).number, order.number)
      assert.equal(started(), 1)
    })

    test('an order whose answer was lost makes no second machine when it is given again', async context => {
      const { fleet, another, order, settle, started, loseAnswer } = open()
      if (loseAnswer === undefined) return context.skip()
      loseAnswer()
      await failsWith('unsure', fleet.start(order))
      await another()
        .start(order)
        .catch(error => isUnsure(error))
      await settle()
      await fleet.start(order)
      await settle()
      assert.equal(await stateOf(fleet, order.node), 'running')
      assert.equal(started(), 1)
    })

    test('a machine is found again after a restart', async () => {
      const { fleet, another, order, settle } = open()
      await fleet.start(order)
      await settle()
      assert.deepEqual(await there(another(), order.node), await there(fleet, order.node))
    })

    test('a machine is stopped, stopped again, and started again: the same one', async () => {
      const { fleet, order, settle } = open()
      await fleet.start(order)
      await settle()
      const server = await there(fleet, order.node)
      assert.ok(server.canStop && server.canStart)
      await fleet.stop(server)
      await settle()
      assert.equal(await stateOf(fleet, order.node), 'stopped')
      await fleet.stop(await there(fleet, order.node))
      await fleet.start(order)
      await settle()
      assert.equal(await stateOf(fleet, order.node), 'running')
      assert.equal((await there(fleet, order.node)).id, server.id)
    })

    test('a machine that can be ended is ended, once and for all; another one refuses it', async () => {
      const { fleet, order, settle } = open()
      await fleet.start(order)
      await settle()
      const server = await there(fleet, order.node)
      if (!server.canEnd) return failsWith('refused', fleet.terminate(server))
      await fleet.terminate(server)
      await fleet.terminate(server)
      await settle()
      assert.equal(await stateOf(fleet, order.node), 'ended')
      await fleet.terminate(await there(fleet, order.node))
      await failsWith('ended', fleet.start(order))
    })

    test('what a machine costs is known, and less while it is stopped', () => {
      const { fleet, order } = open()
      const running = fleet.price(order.offer, false)?.usdPerHour ?? 0
      assert.ok(running > (fleet.price(order.offer, true)?.usdPerHour ?? 0))
    })
  })
}

const failsWith = (failure: FleetFailure, action: Promise<unknown>) =>
  assert.rejects(action, error => error instanceof FleetError && error.failure === failure)

function isUnsure(error: unknown): void {
  assert.ok(error instanceof FleetError && error.failure === 'unsure', String(error))
}
