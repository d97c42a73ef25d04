import { setTimeout as wait } from 'node:timers/promises'
import type { Fleet } from '../../test/tools/fleet/fleet.ts'
import type { Away } from './away.ts'
import { hasClocks } from './clocks.ts'
import { FAULTS, type Fault, type Heal, targetsOf } from './faults.ts'

const MOST_AT_A_TIME = 3
const EACH_MS = 4_000
const TRIES = 5

type Options = {
  readonly fleet: Fleet
  readonly apps: readonly string[]
  /** Makes the faults only whose kind and name match. */
  readonly only?: RegExp | undefined
  readonly away: Away
  readonly random: () => number
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

/** Short, about as long as a lease, or longer than one. */
const lengthMs = (random: () => number): number =>
  1_000 * ([1 + 3 * random(), 4 + 8 * random(), 14 + 10 * random()][Math.floor(random() * 3)] ?? 1)

/** Makes faults at random until the signal aborts; resolves when all of them are healed, with how often each was made. */
export async function disturb({
  fleet,
  apps,
  only = /./,
  away,
  random,
  say,
  signal,
}: Options): Promise<Map<string, number>> {
  const made = new Map<string, number>()
  const busy = new Map<string, Promise<void>>()
  const possible = FAULTS.filter(
    ({ name, on }) => only.test(`${on} ${name}`) && (hasClocks || name !== 'given another time'),
  )
  if (possible.length === 0) throw new Error(`no fault is called like ${only}`)
  if (!hasClocks) say('no clock is stepped: Debian’s package faketime is missing')

  const make = async (fault: Fault, target: string): Promise<void> => {
    const { name, on, away: isAway, begin } = fault
    const lasts = lengthMs(random)
    made.set(`${on} ${name}`, (made.get(`${on} ${name}`) ?? 0) + 1)
    say(`${on} ${target} ${name} for ${Math.round(lasts / 1_000)} s`)
    const isRestart = name === 'restarted'
    const back = on === 'front' && (isAway || isRestart) ? away.leave(target, { isRestart }) : undefined
    let heal: Heal | undefined
    try {
      heal = await begin({ fleet, target, random })
      await wait(lasts, undefined, { signal }).catch(() => undefined) // the run ends
    } catch (error) {
      say(`${on} ${target} was not ${name}: ${error}`)
    }
    await healed(heal, problem => say(`${on} ${target} is still ${name}: ${problem}`))
    back?.()
    say(`${on} ${target} is no longer ${name}`)
  }

  while (!signal.aborted) {
    await wait(2 * EACH_MS * random(), undefined, { signal }).catch(() => undefined)
    const fault = possible[Math.floor(random() * possible.length)] as Fault
    const targets = targetsOf(fault.on, apps).filter(target => !busy.has(target))
    const target = targets[Math.floor(random() * targets.length)]
    if (signal.aborted || target === undefined || busy.size >= MOST_AT_A_TIME) continue
    busy.set(
      target,
      make(fault, target).finally(() => busy.delete(target)),
    )
  }
  await Promise.all(busy.values())
  return made
}

/** Heals, again if need be: a daemon that starts while others are away may end, and its supervisor would start it again. */
async function healed(heal: Heal | undefined, failed: (problem: unknown) => void): Promise<void> {
  for (let left = TRIES; left > 0; left--) {
    try {
      await heal?.()
      return
    } catch (error) {
      failed(error)
      await wait(1_000)
    }
  }
}
