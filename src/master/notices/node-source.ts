import { type Clock, timestamp } from '../../lib/clock.ts'
import type { NodeName } from '../../model/names.ts'
import type { Occurrence } from '../../model/notice.ts'
import type { Nodes } from '../nodes.ts'
import type { Condition, Source } from './source.ts'

const NAME = 'node'
const LOOKED_EVERY_MS = 5_000

const keyOf = (node: NodeName): string => `${NAME} ${node}`

/** Nodes that announce themselves no more, and nodes that are back. The mark of a lost node is the time of its last announcement. */
export function nodeSource({ nodes, clock }: { nodes: Pick<Nodes, 'all'>; clock: Clock }): Source {
  return {
    name: NAME,
    everyMs: LOOKED_EVERY_MS,
    async look(open) {
      const all = await nodes.all()
      const lost = all.filter(({ state }) => state === 'gone')
      // To a master that has just started a lost node seems to be there for some seconds, but it has announced nothing since.
      const back = all.filter(({ name, state, until }) => state !== 'gone' && (open[keyOf(name)] ?? until) !== until)
      const others = all.filter(({ name, state, until }) => state !== 'gone' && open[keyOf(name)] === until)
      const unknown = new Set(others.map(({ name }) => keyOf(name)))
      const conditions = lost.map(
        ({ name, until }): Condition => ({
          key: keyOf(name),
          mark: until,
          at: until,
          kind: 'node',
          node: name,
          subject: `the node ${name} is lost`,
          detail: `${name} does not announce itself any more; its apps are served again when it is back`,
          code: 'node-unreachable',
        }),
      )
      const happened = back.map(
        ({ name, until }): Occurrence => ({
          mark: until,
          at: timestamp(clock),
          kind: 'node',
          node: name,
          subject: `the node ${name} is back`,
          detail: `${name} announces itself again`,
        }),
      )
      return { conditions, happened, isUnknown: key => unknown.has(key) }
    },
  }
}
