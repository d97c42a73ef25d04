import { asShadowError, type ShadowError } from '../../lib/errors.ts'
import type { InstanceView } from '../../model/instance.ts'
import type { RolloutEnd, RolloutOutcome, RolloutStep } from '../../model/rollout.ts'
import type { Instance } from '../instance.ts'

/** What is told of a rollout: its stages as they are reached, and at last its end. */
export type RolloutTold = RolloutStep | RolloutEnd

type Followed = Pick<Instance, 'follow' | 'task' | 'wake' | 'phase' | 'isSwitching'>

/** Follows an instance until it runs the revision or it is known that it will not. `wake`: it is woken if it sleeps. */
export async function* followRollout(
  instance: Followed,
  { revision, wake }: { revision: number; wake: boolean },
  signal: AbortSignal,
): AsyncGenerator<RolloutTold> {
  const tried = wakes(instance, wake, signal)
  let told = 0
  for await (const view of followed(instance, tried, signal)) {
    const stages = view.rollout?.revision === revision ? view.rollout.stages : []
    yield* stages.slice(told)
    told = Math.max(told, stages.length)
    const end = endOf(view, instance, { revision, tried })
    if (end === undefined) continue
    yield end
    return
  }
  if (!signal.aborted) return
  yield { outcome: 'late', revision, serves: null }
}

/** A wake for a rollout. `failed`: why it did not succeed. */
type Tried = { readonly done: Promise<void>; isOver: boolean; failed: ShadowError | undefined }

function wakes(instance: Followed, wake: boolean, signal: AbortSignal): Tried {
  const isAtRest = instance.phase === 'asleep' || instance.phase === 'crashed'
  const done =
    wake && isAtRest ? instance.wake({ says: 'a deploy that waits', cause: 'deploy' }, signal) : Promise.resolve()
  const tried: Tried = {
    done: done.then(
      () => undefined,
      error => {
        tried.failed = asShadowError(error)
      },
    ),
    isOver: !(wake && isAtRest),
    failed: undefined,
  }
  void tried.done.then(() => {
    tried.isOver = true
  })
  return tried
}

/** The views of the instance, and once more when the wake has ended: a wake that is refused may change nothing of the instance. */
async function* followed(instance: Followed, tried: Tried, signal: AbortSignal): AsyncGenerator<InstanceView> {
  const over = new AbortController()
  if (!tried.isOver) {
    void tried.done.then(() => over.abort())
    yield* instance.follow(AbortSignal.any([signal, over.signal]))
  }
  yield* instance.follow(signal)
}

function endOf(
  { phase, revision: runs, rejected, rollout, problem }: InstanceView,
  { task: { revision: current }, isSwitching }: Pick<Followed, 'task' | 'isSwitching'>,
  { revision, tried }: { revision: number; tried: Tried },
): RolloutEnd | undefined {
  const serves = phase === 'awake' ? runs : null
  const end = (outcome: RolloutOutcome, why = problem ?? undefined): RolloutEnd => ({
    outcome,
    revision,
    serves,
    ...(why !== undefined && { problem: why }),
  })
  if (current > revision) return end('superseded')
  if (serves === revision) return { outcome: 'serves', revision, serves }
  if (rejected?.revision === revision) return end('rejected', rejected.problem)
  if (!tried.isOver) return undefined
  const last = rollout?.revision === revision ? rollout.stages.at(-1) : undefined
  if (last?.stage === 'rejected') return end('rejected', last.problem)
  // An app with a volume is asleep for a moment between its two releases.
  if (isSwitching) return undefined
  if (phase === 'crashed') return end('failed')
  if (tried.failed !== undefined) return end('failed', tried.failed.toProblem())
  if (phase === 'stuck') return end('failed')
  return phase === 'asleep' ? end('asleep') : undefined
}
