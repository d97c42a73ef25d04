import { MessageChannel } from 'node:worker_threads'
import { afterEach, expect, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { Channel } from '../lib/threads/channel.ts'
import type { Hostname } from '../model/hostname.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { ROUTE_STALE_AFTER } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import type { Route } from '../model/route.ts'
import { HandClock } from '../testing/clock.ts'
import { aNode, aRoute } from '../testing/front.ts'
import { type FrontMethods, Replica, type ReplicaMethods } from './replica.ts'

const HOST = 'blog.localhost' as Hostname
const cancellation = new AbortController()
const open: MessageChannel[] = []
afterEach(() => {
  for (const { port1 } of open.splice(0)) port1.close()
})

/** A replica, and a main thread that the test controls. */
function aReplica() {
  const clock = new HandClock()
  const ports = new MessageChannel()
  open.push(ports)
  const main = new Channel(ports.port1)
  const channel = new Channel(ports.port2)
  const asked: string[] = []
  const told: unknown[] = []
  const state = {
    app: aRoute('blog', [HOST]) as Route | undefined,
    pin: undefined as NodeName | undefined,
    gate: Promise.resolve(),
  }
  main.serve<FrontMethods>({
    resolve: async hostname => {
      asked.push(hostname)
      const { app, pin } = state
      await state.gate
      if (app === undefined) throw new ShadowError('host-unknown', `no app has the hostname ${hostname}`)
      return { app, pin }
    },
    pin: ({ instance, node }) => void told.push(`${instance} on ${node}`),
    failed: node => void told.push(`${node} failed`),
    refresh: async () => undefined,
    used: () => undefined,
    held: () => undefined,
    doubt: () => undefined,
    refused: ({ app }) => void told.push(`${app} refused`),
    met: app => void told.push(`${app} met`),
    want: async () => false,
    challenge: async () => undefined,
  })
  const nodes = [{ node: aNode('a', ''), healthy: true, overloaded: false, lostAt: undefined, appNetworks: [] }]
  const replica = new Replica({ channel, nodes, clock })
  channel.serve({ ping: () => undefined })
  const heard = async (): Promise<void> => {
    await main.other<{ ping(input: null): void }>().call('ping', null)
    await replica.nodes.refresh()
  }
  const resolve = () => replica.routes.resolve(HOST, cancellation)
  return { clock, asked, told, state, replica, heard, resolve, main: main.other<ReplicaMethods>() }
}

test('a hostname is asked for once, and then known at once, with the pin of its app', async () => {
  const { asked, state, replica, resolve } = aReplica()
  state.pin = 'a' as NodeName
  const [one, two] = await Promise.all([resolve(), resolve()])
  expect(one).toBe(two)
  expect(resolve()).toBe(one)
  expect([asked.length, replica.pins.get('blog' as InstanceId)]).toEqual([1, 'a'])
})

test('a change makes it ask again, and the same app stays the same object', async () => {
  const { asked, state, main, heard, resolve } = aReplica()
  const before = await resolve()
  main.notify('changed', HOST)
  await heard()
  state.app = { ...aRoute('blog', [HOST]), updatedAt: '2026-11-21T00:00:00.000Z' }
  expect((await resolve()).updatedAt).not.toBe(before.updatedAt)
  const kept = resolve()
  main.notify('doubtful', null)
  await heard()
  expect(await resolve()).toBe(kept)
  expect([resolve() === kept, asked.length]).toEqual([true, 3])
})

test('a change that comes while it asks is not overwritten by the older answer', async () => {
  const { asked, state, main, heard, resolve } = aReplica()
  const gate = Promise.withResolvers<void>()
  state.gate = gate.promise
  const first = resolve()
  await heard()
  main.notify('changed', HOST)
  await heard()
  state.app = undefined
  state.gate = Promise.resolve()
  gate.resolve()
  await first
  await expect(resolve()).rejects.toMatchObject({ code: 'host-unknown' })
  expect(asked.length).toBe(2)
})

test('an old route is served, and asked for behind its back', async () => {
  const { clock, asked, heard, resolve } = aReplica()
  const app = await resolve()
  await clock.advance(ROUTE_STALE_AFTER)
  expect(resolve()).toBe(app)
  expect(resolve()).toBe(app)
  await heard()
  expect(asked.length).toBe(2)
})

test('pins and failures are told to the main thread, and taken from it', async () => {
  const { told, main, replica, heard, clock } = aReplica()
  replica.pins.set('blog' as InstanceId, 'a' as NodeName)
  replica.pins.set('blog' as InstanceId, 'a' as NodeName)
  replica.nodes.failed('a' as NodeName)
  await heard()
  expect(told).toEqual(['blog on a', 'a failed'])
  expect([replica.nodes.get('a' as NodeName)?.healthy, replica.nodes.mayComeBack('a' as NodeName)]).toEqual([
    false,
    true,
  ])
  await clock.advance(3_600_000)
  expect(replica.nodes.mayComeBack('a' as NodeName)).toBe(false)
  main.notify('pinned', { instance: 'blog' as InstanceId, node: 'b' as NodeName })
  main.notify('nodes', [{ node: aNode('b', ''), healthy: true, overloaded: false, lostAt: undefined, appNetworks: [] }])
  await heard()
  expect(replica.pins.get('blog' as InstanceId)).toBe('b')
  expect(replica.nodes.all.map(({ node }) => node.name)).toEqual(['b'])
})

test('who leaves does not wait on', async () => {
  const { state, resolve, replica } = aReplica()
  state.gate = new Promise(() => undefined)
  const gone = new AbortController()
  const waits = replica.routes.resolve(HOST, gone)
  void Promise.resolve(resolve()).catch(() => undefined)
  gone.abort(new Error('gone'))
  await expect(waits).rejects.toThrow('gone')
})
