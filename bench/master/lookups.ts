import { setTimeout as wait } from 'node:timers/promises'
import { mapAtMost } from '../../src/lib/parallel.ts'
import { openStorage } from '../../src/master/storage/open.ts'
import { storagePlace } from '../../src/master/storage/place.ts'
import { HandClock } from '../../src/testing/clock.ts'
import { countingStorage } from '../../src/testing/counting-storage.ts'
import { testMaster } from '../../src/testing/masters.ts'
import {
  type Aim,
  type Case,
  countAim,
  interleave,
  quantile,
  type Row,
  ratioAim,
  rowOf,
  rowOfOne,
} from '../lib/bench.ts'
import { counted } from '../lib/counted.ts'
import { cost } from '../lib/process.ts'
import { hostOf, lookUp, register, type Served } from './served.ts'
import { type Store, through } from './stores.ts'

export const LOOK_UPS = 1_000
export const AT_ONCE = 8
const COUNTED = 100
const CREATES = 100
const LIMIT = 1.2
const REST_SECONDS = 60
const LOOK_MS = 100
const FIRST_LOOK_MS = 10_000

type Figures = { rows: Row[]; aims: Aim[] }

/** Look-ups by hostname with few and with many apps, compared with `bare`, which only reads the document and answers. */
export async function lookUps(store: Store, few: Served, many: Served, bare: Served, rounds: number): Promise<Figures> {
  const first = await firstLookUps(many, store)
  await lookUpAll(few, many.size) // so that both are equally warm
  await lookUpAll(bare, many.size)
  const name = (size: number): string => `look-up again, ${size} apps, ${store.kind}`
  const cases = [
    lookUpCase(`bare look-up, ${bare.size} apps, ${store.kind}`, bare),
    lookUpCase(name(few.size), few),
    lookUpCase(name(many.size), many),
  ]
  const samples = await interleave(cases, { rounds })
  const rows = cases.flatMap(one => [rowOf(one, samples), rowOf({ name: rateOf(one.name), unit: '/s' }, samples)])
  const median = (name: string): number => quantile((samples.get(name) ?? []).flat(), 0.5)
  const perBare = median(name(many.size)) / median(cases[0]?.name ?? '')
  return {
    rows: [...first, ...rows, rowOfOne(`look-up again / bare, CPU, ${many.size} apps, ${store.kind}`, 'x', perBare)],
    aims: [ratioAim(`lookup 10000/10 apps: CPU, ${store.kind}`, LIMIT, samples, name(many.size), name(few.size))],
  }
}

const rateOf = (name: string): string => `${name}, a second`

function lookUpCase(name: string, { client, pid, size }: Served): Case {
  return {
    name,
    unit: 'µs CPU',
    async measure(also) {
      const hosts = Array.from({ length: LOOK_UPS }, () => hostOf(Math.floor(Math.random() * size)))
      const figures = await cost(pid, hosts.length, () => mapAtMost(AT_ONCE, hosts, host => lookUp(client, host)))
      also(rateOf(name), figures.perSecond)
      return figures.cpuUs
    },
  }
}

/** All hostnames once: none was looked up before. */
async function firstLookUps(many: Served, { kind }: Store): Promise<Row[]> {
  const figures = await cost(many.pid, many.size, () => lookUpAll(many, many.size))
  const name = `look-up first, ${many.size} apps, ${kind}`
  return [rowOfOne(name, 'µs CPU', figures.cpuUs), rowOfOne(rateOf(name), '/s', figures.perSecond)]
}

/** This many look-ups, of one hostname after the other. */
async function lookUpAll({ client, size }: Served, times: number): Promise<void> {
  const hosts = Array.from({ length: times }, (_, at) => hostOf(at % size))
  await mapAtMost(AT_ONCE, hosts, host => lookUp(client, host))
}

/** Requests to the store for each look-up, for the first and the next of a hostname, with few and with many apps. */
export async function storeRequests(store: Store, few: Served, many: Served): Promise<Figures> {
  const of = [await countRequests(store, few), await countRequests(store, many)] as const
  const each = ['first', 'again'] as const
  const nameOf = (time: string, size: number): string => `look-up ${time}: store requests, ${size} apps, ${store.kind}`
  return {
    rows: each.flatMap(time => [
      rowOfOne(nameOf(time, few.size), 'each', of[0][time]),
      rowOfOne(nameOf(time, many.size), 'each', of[1][time]),
    ]),
    aims: each.map(time =>
      countAim(`lookup 10000/10 apps: store requests ${time}, ${store.kind}`, LIMIT, of[1][time] / of[0][time]),
    ),
  }
}

/** Uses a master in this process: counts the calls of its storage driver and, with a server, the requests that arrive there. */
async function countRequests({ kind }: Store, { place, size }: Served): Promise<{ first: number; again: number }> {
  await using proxy = kind === 'MinIO' ? await counted(new URL(place).origin) : undefined
  const storage = await openStorage(storagePlace(proxy === undefined ? place : through(place, proxy.url)))
  const { storage: counting, calls } = countingStorage(storage)
  const requests = proxy?.requests ?? calls
  await using master = await testMaster(counting)
  await master.admin.call('getApp', { params: { app: 'app-0' } }) // from now on the master knows the token
  const hosts = Array.from({ length: Math.min(size, COUNTED) }, (_, number) => hostOf(size - 1 - number))
  const perLookUp = async (): Promise<number> => {
    requests.length = 0
    for (const host of hosts) await lookUp(master.admin, host)
    return requests.length / hosts.length
  }
  return { first: await perLookUp(), again: await perLookUp() }
}

/** How many requests per second idle masters of this process send to the store, to look for changes by other masters. */
export async function requestsAtRest({ kind }: Store, { place, size }: Served): Promise<Row[]> {
  const rows: Row[] = []
  for (const count of [1, 3]) {
    await using held = new AsyncDisposableStack()
    const counted: string[][] = []
    const clocks: HandClock[] = []
    for (let at = 0; at < count; at++) {
      const storage = await openStorage(storagePlace(place))
      const { storage: counting, calls } = countingStorage(storage)
      const clock = new HandClock()
      held.use(await testMaster(counting, clock))
      counted.push(calls)
      clocks.push(clock)
    }
    const passSecond = async (restMs: number): Promise<void> => {
      for (const clock of clocks) await clock.advance(1_000)
      await wait(restMs) // real time, for the answers: the store has its own clock
    }
    await passSecond(FIRST_LOOK_MS) // the first look reads the state that later ones compare with
    for (const calls of counted) calls.length = 0
    for (let second = 0; second < REST_SECONDS; second++) await passSecond(LOOK_MS)
    const perSecond = counted.reduce((sum, calls) => sum + calls.length, 0) / REST_SECONDS
    rows.push(rowOfOne(`at rest: store requests a second, ${count} masters, ${size} apps, ${kind}`, 'each', perSecond))
  }
  return rows
}

/** Creates through the API, and starts of a master, with few and with many apps. */
export async function createsAndStarts({ kind }: Store, served: readonly Served[], rounds: number): Promise<Row[]> {
  const cases = served.flatMap(one => [
    { name: `creates a second, ${one.size} apps, ${kind}`, unit: '/s', measure: () => creates(one) },
    { name: `start of the master, ${one.size} apps, ${kind}`, unit: 'ms', measure: one.startAnother },
  ])
  const samples = await interleave(cases, { rounds })
  return cases.map(one => rowOf(one, samples))
}

let created = 0

async function creates({ client }: Served): Promise<number> {
  const names = Array.from({ length: CREATES }, () => `new-${created++}`)
  const from = performance.now()
  await mapAtMost(AT_ONCE, names, name => register(client, name))
  return (CREATES * 1_000) / (performance.now() - from)
}
