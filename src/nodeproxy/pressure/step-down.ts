import type { Lifecycle } from '../lifecycle.ts'
import { isReady } from '../state.ts'
import type { Step, Yielding } from './next-step.ts'

type Life = Pick<Lifecycle, 'state' | 'freezing' | 'turn' | 'asked' | 'sleep'>

/** What the instance can give; undefined where it does not run, or somebody uses it. */
export function yieldingOf({ state, freezing }: Life): Yielding | undefined {
  if (!isReady(state) || state.idle.since === undefined) return undefined
  const { task } = state.running
  return {
    phase: state.phase,
    idleSince: state.idle.since,
    canSuspend: freezing.canSuspend(task),
    isKept: freezing.keepOf(task) !== 'asleep',
  }
}

/** Steps it down because the machine is short of memory, unless somebody has used it since; false: somebody has, or it is at work. */
export async function stepDown(life: Life, to: Step['to'], idleSince: number): Promise<boolean> {
  const { turn, freezing } = life
  const isUnused = (): boolean => isReady(life.state) && life.state.idle.since === idleSince
  if ((await life.asked()) !== undefined) return false
  const step = (): Promise<void> => (to === 'asleep' ? life.sleep('memory') : freezing.freeze('memory'))
  await turn.take(async () => {
    if (isUnused()) await step()
  })
  if (to === 'suspended' && isUnused()) await freezing.suspend('memory')
  return life.state.phase === to
}
