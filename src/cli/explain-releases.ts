import type { FormerView, InstanceView } from '../model/instance.ts'
import { sayMs } from '../model/quantities.ts'

/** Which releases of the instance run: the one that serves, those before it that have not ended, and one that is on its way. */
export function explainReleases(instance: InstanceView, now: number): readonly string[] {
  const { revision, formers = [] } = instance
  const coming = sayComing(instance)
  if (formers.length === 0 && coming === undefined) return []
  return [
    `Release ${revision} serves new requests.`,
    ...formers.map(former => `${sayFormer(former, now)}.`),
    ...(coming === undefined ? [] : [`Release ${coming}.`]),
  ]
}

/** An earlier release in words: `Release 11 lets its last 2 uses end, for 12s at most`. */
export function sayFormer({ revision, holds, until, endsAt }: FormerView, now: number): string {
  const left = (at: string): string => sayMs(Math.max(0, Date.parse(at) - now))
  const uses = `${holds} ${holds === 1 ? 'use' : 'uses'}`
  if (until !== undefined) return `Release ${revision} lets its last ${uses} end, for ${left(until)} at most (--drain)`
  const end = endsAt === undefined ? `, ${uses} of it under way` : `, and ends in ${left(endsAt)} if nobody uses it`
  return `Release ${revision} keeps the sessions that began with it (--sessions stay)${end}`
}

/** A newer release on its way: `12: starting since …`; undefined if there is none. */
export function sayComing({ phase, revision, rollout }: InstanceView): string | undefined {
  const last = rollout?.stages.at(-1)
  if (rollout === undefined || last === undefined || phase !== 'awake') return undefined
  if (rollout.revision === revision || last.stage === 'rejected') return undefined
  const why = last.why ?? last.problem?.detail.split('\n', 1)[0]
  return `${rollout.revision} is on its way: ${last.stage} since ${last.at}${why === undefined ? '' : ` (${why})`}`
}
