import { type Clock, timestamp } from '../../lib/clock.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { InstanceSummary } from '../../model/instance-summary.ts'
import type { NodeName } from '../../model/names.ts'
import type { Occurrence } from '../../model/notice.ts'
import type { ControlledNode, Nodes } from '../nodes.ts'
import type { SummariesOf } from '../overview/node-summaries.ts'
import type { Condition, Source } from './source.ts'

const NAME = 'instance'
const LOOKED_EVERY_MS = 5_000
const ANSWERS_WITHIN_MS = 3_000
const AT_ONCE = 64

type Known = { readonly version: string | undefined; readonly instances: Map<string, InstanceSummary> }
type Parts = { readonly nodes: Pick<Nodes, 'list'>; readonly read: SummariesOf; readonly clock: Clock }

/** Instances that have crashed or are stuck, as their nodes tell. */
export function instanceSource({ nodes, read, clock }: Parts): Source {
  const known = new Map<NodeName, Known>()
  /** How many failures in a row each instance had: a crash between two looks is seen by them. */
  const failures = new Map<string, number>()

  const readNode = async (node: ControlledNode, signal: AbortSignal): Promise<boolean> => {
    const before = known.get(node.name)
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWERS_WITHIN_MS)])
      const { version, isWhole, items, gone } = await read(node, before?.version, 0, within)
      const instances = isWhole ? new Map<string, InstanceSummary>() : (before?.instances ?? new Map())
      for (const id of gone) instances.delete(id)
      for (const one of items) instances.set(one.instance, one)
      known.set(node.name, { version, instances })
      return true
    } catch {
      return false // another source tells of nodes that are away
    }
  }

  return {
    name: NAME,
    everyMs: LOOKED_EVERY_MS,
    async look(_, signal) {
      const all = await nodes.list()
      const names = new Set(all.map(({ name }) => name))
      for (const name of known.keys()) if (!names.has(name)) known.delete(name)
      const answered = await mapAtMost(AT_ONCE, all, node => readNode(node, signal))
      const isWhole = answered.every(Boolean)
      const here = [...known.values()].flatMap(({ instances }) => [...instances.values()])
      const conditions: Condition[] = []
      const happened: Occurrence[] = []
      for (const one of here) {
        const before = failures.get(one.instance)
        failures.set(one.instance, one.failures)
        const times = Math.max(1, one.failures - (before ?? one.failures))
        if (one.phase === 'crashed' || one.phase === 'stuck') conditions.push(conditionOf(one, times))
        else if (before !== undefined && one.failures > before) happened.push(missedCrash(one, times, timestamp(clock)))
      }
      const ids = new Set<string>(here.map(({ instance }) => instance))
      for (const id of failures.keys()) if (!ids.has(id)) failures.delete(id)
      // An instance of a node that does not answer may be as it was.
      return { conditions, happened, isUnknown: () => !isWhole }
    },
  }
}

const subjectOf = (instance: string, kind: 'crash' | 'stuck'): string =>
  kind === 'crash' ? `${instance} crashed` : `${instance} is stuck`

function conditionOf({ app, instance, node, phase, since, problem }: InstanceSummary, times: number): Condition {
  const kind = phase === 'stuck' ? 'stuck' : 'crash'
  return {
    key: `${NAME} ${instance}`,
    mark: `${kind} ${since}`,
    at: since,
    kind,
    app,
    node,
    subject: subjectOf(app, kind),
    detail: problem?.detail ?? `${instance} is ${phase}`,
    ...(problem !== null && { code: problem.code }),
    ...(times > 1 && { times }),
  }
}

/** It has crashed since the last look, and is something else already. */
const missedCrash = (
  { app, instance, node, failures, problem }: InstanceSummary,
  times: number,
  at: string,
): Occurrence => ({
  mark: `${instance} ${at}`,
  at,
  kind: 'crash',
  app,
  node,
  subject: subjectOf(app, 'crash'),
  detail: problem?.detail ?? `${instance} failed, for the ${failures}. time in a row`,
  ...(problem !== null && { code: problem.code }),
  ...(times > 1 && { times }),
})
