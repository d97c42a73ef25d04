import type { z } from 'zod'
import { type AnnounceSchema, NodeSchema } from '../api/schemas.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Node } from '../model/app.ts'
import { NODE_LOST_AFTER } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import { again } from './again.ts'
import type { Storage } from './storage/storage.ts'

export type Nodes = ReturnType<typeof nodeRecords>

/** The nodes that announced themselves, in `nodes/<node>.json`. */
export function nodeRecords({ storage, clock }: { storage: Storage; clock: Clock }) {
  const keyOf = (name: NodeName): string => `nodes/${name}.json`
  /** Versions that we wrote: while a node keeps to one master, an announcement is one write and no read. */
  const written = new Map<NodeName, { etag: string; key: string }>()

  const find = async (name: NodeName): Promise<Node | undefined> => {
    const stored = await storage.get(keyOf(name))
    return stored && NodeSchema.parse(stored.value)
  }

  const live = (node: Node): boolean => Date.parse(node.until) > clock.now()

  return {
    find,

    /** Fails with `bad-input` while another machine announces itself by this name. */
    async announce(name: NodeName, said: z.output<typeof AnnounceSchema>): Promise<void> {
      const node = { name, ...said, until: new Date(clock.now() + NODE_LOST_AFTER).toISOString() }
      const last = written.get(name)
      if (last?.key === said.key) {
        try {
          written.set(name, { etag: await storage.update(keyOf(name), node, last.etag), key: said.key })
          return
        } catch (error) {
          written.delete(name)
          if (!isFailure(error, 'changed')) throw error
        }
      }
      await again(async () => {
        const stored = await storage.get(keyOf(name))
        const before = stored && NodeSchema.parse(stored.value)
        if (before && live(before) && before.key !== said.key && before.address !== said.address)
          throw new ShadowError('bad-input', `a node at ${before.address} is called ${name} already`, {
            hint: 'give this one another name: SHADOW_NODE_NAME',
          })
        const etag =
          stored === undefined
            ? await storage.create(keyOf(name), node)
            : await storage.update(keyOf(name), node, stored.etag)
        written.set(name, { etag, key: said.key })
      })
    },

    /** Those that spoke lately, by name. */
    async list(): Promise<readonly Node[]> {
      const keys = await storage.list('nodes/')
      const nodes = await mapAtMost(16, keys, key => find(key.slice('nodes/'.length, -'.json'.length) as NodeName))
      return nodes.filter(node => node !== undefined).filter(live)
    },
  }
}
