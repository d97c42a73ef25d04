// A thread for the tests of grants: it holds apps of the main thread when a test calls it.
import { workerData } from 'node:worker_threads'
import { Holding } from '../api/holding.ts'
import { systemClock } from '../lib/clock.ts'
import { Counters } from '../lib/http/counters.ts'
import { serveCounted } from '../lib/threads/counted.ts'
import { runThread } from '../lib/threads/thread.ts'
import type { Held } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { aHoldRequest } from './fake-app.ts'

export type HolderOrders = {
  /** Holds the instance and keeps the hold; returns the address. */
  hold(app: InstanceId): Promise<string>
  release(input: null): void
  /** Makes this many requests of all kinds, some at the same time; returns how many were served and how many refused. */
  storm(input: { readonly apps: readonly InstanceId[]; readonly requests: number }): Promise<Stormed>
  die(how: 'exit' | 'throw' | 'hang'): void
}
type Stormed = { readonly served: number; readonly refused: number; readonly left: number }

const AT_A_TIME = 40
/** The users of each address, by its last number; counted separately from the holds. */
const users = new Int32Array((workerData as { users: SharedArrayBuffer }).users)
const placeOf = ({ address }: Held): number => Number(/^10\.0\.0\.(\d+):/.exec(address)?.[1])

await runThread(async ({ channel }) => {
  const holding = new Holding({ channel, clock: systemClock, onRunEnded: () => undefined })
  const never = new AbortController()
  const held: Held[] = []

  const tick = () => new Promise(resolve => setImmediate(resolve))
  const some = (most: number): number => Math.floor(Math.random() * most)

  async function one(app: InstanceId): Promise<keyof Stormed> {
    const dice = Math.random()
    const cancellation = dice < 0.05 ? new AbortController() : never
    if (cancellation !== never) setImmediate(() => cancellation.abort(new Error('left')))
    try {
      const request = aHoldRequest({ kind: dice > 0.95 ? 'websocket' : 'request', mayWake: dice < 0.1 || dice > 0.2 })
      using one = await holding.hold(app, request, cancellation)
      Atomics.add(users, placeOf(one), 1)
      for (let ticks = some(4); ticks > 0; ticks--) await tick()
      Atomics.sub(users, placeOf(one), 1)
      return 'served'
    } catch {
      return cancellation.signal.aborted ? 'left' : 'refused'
    }
  }

  serveCounted(channel, () => ({ ...new Counters(), requests: 7, open: 1 }))
  channel.serve<HolderOrders>({
    hold: async app => {
      const one = await holding.hold(app, aHoldRequest(), never)
      held.push(one)
      return one.address
    },
    release: () => {
      for (const one of held.splice(0)) one[Symbol.dispose]()
    },
    storm: async ({ apps, requests }) => {
      const counts = { served: 0, refused: 0, left: 0 }
      let begun = 0
      const visitor = async (): Promise<void> => {
        while (begun++ < requests) counts[await one(apps[some(apps.length)] as InstanceId)] += 1
      }
      await Promise.all(Array.from({ length: AT_A_TIME }, visitor))
      return counts
    },
    die: how => {
      if (how === 'exit') process.exit(1)
      while (how === 'hang');
      setImmediate(() => {
        throw new Error('fails on purpose')
      })
    },
  })
  return { [Symbol.asyncDispose]: async () => undefined }
})
