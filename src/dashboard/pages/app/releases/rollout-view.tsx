import { useEffect, useState } from 'preact/hooks'
import type { Problem } from '../../../../lib/errors.ts'
import type { RolloutEnd } from '../../../../model/rollout.ts'
import type { ApiError } from '../../../api.ts'
import { CommandLine } from '../../../components/command-line.tsx'
import { Time } from '../../../components/time.tsx'
import { followRollout, type RolloutStage } from './rollout.ts'

const ENDS: Readonly<Record<RolloutEnd['outcome'], string>> = {
  serves: 'serves',
  asleep: 'is taken by the next wake: the app sleeps',
  rejected: 'was rejected: it did not get ready',
  superseded: 'was superseded by a newer one',
  failed: 'could not be started now',
  late: 'does not serve yet',
}

type Props = {
  readonly app: string
  readonly revision: number
  /** Of the app: a wake is followed as well. */
  readonly phase: string | undefined
  readonly onEnd: () => void
}

/** How the current release takes over, stage by stage, while it does. */
export function RolloutView({ app, revision, phase, onEnd }: Props) {
  const [stages, setStages] = useState<readonly RolloutStage[]>([])
  const [end, setEnd] = useState<RolloutEnd | ApiError>()
  useEffect(() => {
    const gone = new AbortController()
    setStages([])
    setEnd(undefined)
    const add = (stage: RolloutStage): void => setStages(before => [...before, stage])
    followRollout(app, revision, add, gone.signal).then(
      told => {
        if (gone.signal.aborted) return
        setEnd(told)
        onEnd()
      },
      (error: ApiError) => !gone.signal.aborted && setEnd(error),
    )
    return () => gone.abort()
  }, [app, revision, phase])
  const problem = end !== undefined && 'outcome' in end ? end.problem : undefined
  return (
    <div class="rollout" aria-live="polite">
      <p>
        Release {revision}{' '}
        {end === undefined ? (
          <span class="faint">is on its way…</span>
        ) : 'outcome' in end ? (
          <strong class={end.outcome === 'rejected' || end.outcome === 'failed' ? 'bad' : undefined}>
            {ENDS[end.outcome]}
            {end.outcome === 'rejected' && end.serves !== null && `; release ${end.serves} serves on`}
          </strong>
        ) : (
          <span class="faint">cannot be followed: {end.message}</span>
        )}
      </p>
      {stages.length > 0 && (
        <ol class="stages">
          {stages.map(({ instance, node, stage, at, why, problem: fault }, index) => (
            // Stages are only ever added at the end.
            <li key={index}>
              <strong>{stage}</strong>{' '}
              <span class="faint">
                {instance} on {node}, <Time at={at} />
                {(why ?? fault?.detail) !== undefined && ` (${why ?? fault?.detail.split('\n', 1)[0]})`}
              </span>
            </li>
          ))}
        </ol>
      )}
      {problem !== undefined && <Fault app={app} problem={problem} />}
    </div>
  )
}

function Fault({ app, problem: { code, detail } }: { app: string; problem: Problem }) {
  return (
    <div class="failure">
      <p>
        <strong>{code}</strong>
      </p>
      <pre>{detail}</pre>
      <CommandLine command={`shadow logs ${app}`} />
    </div>
  )
}
