import type { Clock } from '../lib/clock.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { NodeName } from '../model/names.ts'
import type { InstanceStats } from '../model/stats.ts'
import type { Instance } from './instance.ts'
import type { Runtime } from './runtime/runtime.ts'
import type { Space } from './space/space.ts'

type Options = {
  readonly node: NodeName
  readonly instances: () => readonly Instance[]
  readonly runtime: Pick<Runtime, 'stats'>
  readonly space: Pick<Space, 'viewOf'>
  readonly clock: Clock
}

const AT_ONCE = 8

/** What the instances of this node use now that are awake or frozen. One that ends meanwhile is left out. */
export async function readStats({ node, instances, runtime, space, clock }: Options): Promise<InstanceStats[]> {
  const found = await mapAtMost(AT_ONCE, instances(), async instance => {
    const running = instance.serving
    const stats = running && (await runtime.stats(running.container))
    if (stats === undefined || running === undefined) return []
    const { volume } = await space.viewOf(instance)
    const { cpus, pids: pidsLimit } = running.task.limits
    const about = { instance: instance.id, node, atMs: clock.now(), run: running.container.id }
    return [{ ...about, ...stats, cpus, pidsLimit, ...(volume && { volume }) }]
  })
  return found.flat()
}
