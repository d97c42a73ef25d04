import type { Fleet } from '../../test/tools/fleet/fleet.ts'
import { setClock } from './clocks.ts'
import { FRONTS, MASTERS, NODES } from './letters.ts'

export type Kind = 'node' | 'front' | 'master' | 'store' | 'app'
/** Undoes the fault. */
export type Heal = () => Promise<unknown>
/** What a fault works on: a machine by its letter, or an app. */
type Given = { readonly fleet: Fleet; readonly target: string; readonly random: () => number }

export type Fault = {
  readonly name: string
  readonly on: Kind
  /** Whether what it is done to serves nobody meanwhile. A front that is merely restarted finishes what it has. */
  readonly away: boolean
  readonly begin: (given: Given) => Promise<Heal>
}

const HOUR_S = 3_600
/** Masters' clocks may differ by a twelfth of a lease. */
const SKEW_S = 0.4

const killed = async ({ fleet, target }: Given): Promise<Heal> => {
  await fleet.daemon(target).end('SIGKILL')
  return () => fleet.daemon(target).start()
}

const restarted = async ({ fleet, target }: Given): Promise<Heal> => {
  await fleet.daemon(target).end('SIGTERM')
  return () => fleet.daemon(target).start()
}

const paused = async ({ fleet, target }: Given): Promise<Heal> => {
  const resume = fleet.daemon(target).pause()
  return async () => resume()
}

const frozen = async ({ fleet, target }: Given): Promise<Heal> => {
  await fleet.machine(target).freeze()
  return () => fleet.machine(target).thaw()
}

const powerLost = async ({ fleet, target }: Given): Promise<Heal> => {
  await fleet.powerOff(target)
  return () => fleet.powerOn(target)
}

const cutOff = async ({ fleet, target }: Given): Promise<Heal> => {
  await fleet.machine(target).cut()
  return () => fleet.machine(target).mend()
}

const cutFrom =
  (addressOf: (given: Given) => string) =>
  (given: Given): Promise<Heal> =>
    given.fleet.machine(given.target).cutFrom(addressOf(given))

const clockSet =
  (most: number) =>
  async ({ fleet, target, random }: Given): Promise<Heal> => {
    const folder = `${fleet.folder}/${target}`
    await setClock(folder, Math.round((random() * 2 - 1) * most * 1_000) / 1_000)
    return () => setClock(folder, 0)
  }

const dockerKilled = async ({ fleet, target }: Given): Promise<Heal> => {
  await fleet.docker(target).end('SIGKILL')
  return () => fleet.docker(target).start()
}

const containerKilled = async ({ fleet, target, random }: Given): Promise<Heal> => {
  const docker = fleet.docker(target)
  const ids = (await docker.run('ps', '--quiet', '--filter', 'label=shadow.app')).split('\n').filter(Boolean)
  const id = ids[Math.floor(random() * ids.length)]
  if (id !== undefined) await docker.run('kill', id).catch(() => undefined) // it has just ended
  return async () => undefined
}

const drained = async ({ fleet, target }: Given): Promise<Heal> => {
  const params = { node: fleet.nameOf(target) }
  await fleet.admin().call('drainNode', { params, body: { deadline: '5s' } })
  return () => fleet.admin().call('uncordonNode', { params })
}

const putToSleep = async ({ fleet, target }: Given): Promise<Heal> => {
  await fleet.admin().call('sleepApp', { params: { app: target } })
  return async () => undefined
}

const updated = async ({ fleet, target, random }: Given): Promise<Heal> => {
  const { task } = await fleet.admin().call('getApp', { params: { app: target } })
  const env = { APP: target, CHANGE: String(random()) }
  await fleet
    .admin()
    .call('updateApp', { params: { app: target }, body: { env: { ...env, ...(task.volume && { DATA: '/data' }) } } })
  return async () => undefined
}

const machine = (on: Kind): Fault[] => [
  { name: 'killed', on, away: true, begin: killed },
  { name: 'restarted', on, away: false, begin: restarted },
  { name: 'paused', on, away: true, begin: paused },
  { name: 'lost its power', on, away: true, begin: powerLost },
  { name: 'cut off', on, away: true, begin: cutOff },
]

export const FAULTS: readonly Fault[] = [
  ...machine('node'),
  { name: 'frozen as a machine', on: 'node', away: true, begin: frozen },
  { name: 'cut off from the masters', on: 'node', away: false, begin: cutFrom(({ fleet }) => fleet.mastersAddress) },
  {
    name: 'cut off from front x',
    on: 'node',
    away: false,
    begin: cutFrom(({ fleet }) => fleet.machine('x').address),
  },
  { name: 'without its Docker', on: 'node', away: false, begin: dockerKilled },
  { name: 'without a container', on: 'node', away: false, begin: containerKilled },
  { name: 'drained', on: 'node', away: false, begin: drained },
  { name: 'given another time', on: 'node', away: false, begin: clockSet(2 * HOUR_S) },
  ...machine('front'),
  { name: 'given another time', on: 'front', away: false, begin: clockSet(2 * HOUR_S) },
  ...machine('master'),
  { name: 'given another time', on: 'master', away: false, begin: clockSet(SKEW_S) },
  {
    name: 'killed',
    on: 'store',
    away: true,
    begin: async ({ fleet }) => {
      await fleet.store.stop()
      return () => fleet.store.start()
    },
  },
  { name: 'frozen as a machine', on: 'store', away: true, begin: frozen },
  { name: 'cut off', on: 'store', away: true, begin: cutOff },
  { name: 'put to sleep', on: 'app', away: false, begin: putToSleep },
  { name: 'updated', on: 'app', away: false, begin: updated },
]

export const targetsOf = (kind: Kind, apps: readonly string[]): readonly string[] =>
  ({ node: NODES, front: FRONTS, master: MASTERS, store: ['s'], app: apps })[kind]
