import type { HoldView, InstanceView } from './instance.ts'

/** What a list of apps needs of an instance: a small part of its view. */
export type InstanceSummary = Pick<
  InstanceView,
  | 'app'
  | 'instance'
  | 'node'
  | 'phase'
  | 'since'
  | 'revision'
  | 'waiting'
  | 'sleepsAt'
  | 'wokenBy'
  | 'stoppedBy'
  | 'failures'
  | 'held'
  | 'frozenBy'
  | 'parked'
> & {
  /** How many uses keep it awake, and the oldest of them. */
  readonly uses: number
  readonly use: Pick<HoldView, 'kind' | 'what'> | null
  readonly problem: { readonly code: string; readonly detail: string } | null
  /** Why it is awake though nobody uses it. */
  readonly atWork?: string | undefined
  /** Why a front or a schedule keeps it awake. */
  readonly kept?: string | undefined
  readonly volume?: { readonly usedBytes: number; readonly sizeBytes: number } | undefined
}

/** Longer texts are cut: a problem may have the last lines of the app's log, and a use has what a client sent. */
const MOST_TEXT = 200
const shortened = (text: string): string => {
  const line = text.split('\n', 1)[0] ?? ''
  return line.length > MOST_TEXT ? `${line.slice(0, MOST_TEXT)}…` : line
}

export function summaryOf(view: InstanceView): InstanceSummary {
  const { app, instance, node, phase, since, revision, waiting, sleepsAt, wokenBy, stoppedBy, failures, held } = view
  const keeping = view.holds.filter(({ isIgnored }) => isIgnored !== true)
  const [oldest] = keeping
  return {
    app,
    instance,
    node,
    phase,
    since,
    revision,
    waiting,
    sleepsAt,
    wokenBy: wokenBy === null ? null : shortened(wokenBy),
    stoppedBy,
    failures,
    held,
    uses: keeping.length,
    use: oldest === undefined ? null : { kind: oldest.kind, what: shortened(oldest.what) },
    problem: view.problem === null ? null : { code: view.problem.code, detail: shortened(view.problem.detail) },
    ...(view.frozenBy !== undefined && { frozenBy: view.frozenBy }),
    ...(view.parked && { parked: true as const }),
    ...(view.atWork !== undefined && { atWork: shortened(view.atWork.why) }),
    ...(view.kept !== undefined && { kept: shortened(view.kept.why) }),
    ...(view.volume !== undefined && {
      volume: { usedBytes: view.volume.usedBytes, sizeBytes: view.volume.sizeBytes },
    }),
  }
}
