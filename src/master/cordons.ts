import { type Clock, timestamp } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { NodeName } from '../model/names.ts'
import type { Cordon, VolumesOfDrained } from '../model/node-state.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import type { Volumes } from './volumes.ts'

export type Cordons = ReturnType<typeof nodeCordons>

/** What admins want of nodes: cordon, drain, uncordon. Each call may be repeated. */
export function nodeCordons({ nodes, volumes, clock }: { nodes: Nodes; volumes: Volumes; clock: Clock }) {
  return {
    /** Lets the node take no app that it does not have. */
    cordon: (name: NodeName): Promise<ControlledNode> =>
      nodes.changeCordon(name, now => now ?? { since: timestamp(clock) }),

    uncordon: (name: NodeName): Promise<ControlledNode> => nodes.changeCordon(name, () => undefined),

    /**
     * Lets the apps of the node leave it, those in use within `withinMs`. `ofVolumes` is for apps whose volume is on the disk of the node:
     * with `refuse`, it fails with `volumes-stay` if there are any, and nothing is changed.
     */
    async drain(name: NodeName, withinMs: number, ofVolumes: VolumesOfDrained | 'refuse'): Promise<ControlledNode> {
      await nodes.get(name)
      const stay = ofVolumes === 'refuse' ? (await volumes.on(name)).filter(({ lease }) => lease?.until === null) : []
      if (stay.length > 0) throw volumesStay(name, stay)
      const until = new Date(clock.wall() + withinMs).toISOString()
      const drain = { until, volumes: ofVolumes === 'stop' ? 'stop' : 'keep' } as const
      return nodes.changeCordon(name, now => ({ since: now?.since ?? timestamp(clock), drain }))
    },

    /** What a node is told when it announces itself. */
    told: (cordon: Cordon | undefined): { cordon: Cordon | null; drainWithinMs?: number } => ({
      cordon: cordon ?? null,
      ...(cordon?.drain && { drainWithinMs: Math.max(0, Date.parse(cordon.drain.until) - clock.wall()) }),
    }),
  }
}

function volumesStay(node: NodeName, stay: Awaited<ReturnType<Volumes['on']>>): ShadowError {
  const count = stay.length === 1 ? 'one volume is' : `${stay.length} volumes are`
  return new ShadowError(
    'volumes-stay',
    `${count} on the disk of ${node}, so their apps cannot leave it; nothing was changed`,
    {
      faults: stay.map(({ id, app }) => ({
        field: id,
        message: app === null ? 'no app has it' : `the volume of ${app}`,
      })),
      hint: `move them: shadow move APP --to NODE; or serve those apps on, and let the others leave: shadow node drain ${node} --keep-volumes; or stop them until shadow node uncordon: --stop-volumes`,
    },
  )
}
