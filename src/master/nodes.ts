import { z } from 'zod'
import { type AnnounceSchema, NodeSchema } from '../api/schemas.ts'
import type { Clock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Seals } from '../lib/seals.ts'
import type { Node } from '../model/app.ts'
import { NODE_LOST_AFTER } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import { retryOnConflict } from './retry.ts'
import type { Storage } from './storage/storage.ts'

const KeysSchema = z.object({ key: z.string(), controlKey: z.string() })
const StoredSchema = z.looseObject({ name: z.string(), sealedKeys: z.string() })
/** A node with the key that only masters see; the key is undefined if the record was written by an earlier version. */
export type ControlledNode = Node & { readonly controlKey: string | undefined }

export type Nodes = ReturnType<typeof nodeRecords>

/**
 * The nodes that announced themselves, in `nodes/<node>.json`. A node counts as alive while its document changes often enough.
 * This master measures that on its own monotonic clock, because `until` comes from another machine's wall clock, which may be wrong by
 * hours.
 * A node that this master sees for the first time counts as alive until it has been silent for NODE_LOST_AFTER.
 */
export function nodeRecords({ storage, clock, seals }: { storage: Storage; clock: Clock; seals: Seals }) {
  const keyOf = (name: NodeName): string => `nodes/${name}.json`
  /** Versions that this master wrote: while a node uses one master, an announcement is one write and no read. */
  const written = new Map<NodeName, { etag: string; key: string }>()

  /** The last version of each node's document that we saw, and since when, by `clock.now()`. */
  const heard = new Map<NodeName, { etag: string; at: number }>()

  const hear = (name: NodeName, etag: string): void => {
    if (heard.get(name)?.etag !== etag) heard.set(name, { etag, at: clock.now() })
  }

  const contextOf = (name: string): string => `the keys of the node ${name}`

  const nodeOf = (value: unknown): ControlledNode => {
    const stored = StoredSchema.safeParse(value)
    if (!stored.success) return { ...NodeSchema.parse(value), controlKey: undefined }
    const { sealedKeys, ...rest } = stored.data
    const { key, controlKey } = KeysSchema.parse(JSON.parse(seals.open(sealedKeys, contextOf(rest.name))))
    return { ...NodeSchema.parse({ ...rest, key }), controlKey }
  }

  const read = async (name: NodeName): Promise<{ node: ControlledNode; etag: string } | undefined> => {
    const stored = await storage.get(keyOf(name))
    if (stored === undefined) return undefined
    hear(name, stored.etag)
    return { node: nodeOf(stored.value), etag: stored.etag }
  }

  const isThere = (name: NodeName): boolean => {
    const last = heard.get(name)
    return last !== undefined && clock.now() - last.at < NODE_LOST_AFTER
  }

  const keep = (name: NodeName, key: string, etag: string): void => {
    written.set(name, { etag, key })
    hear(name, etag)
  }

  return {
    find: async (name: NodeName): Promise<ControlledNode | undefined> => (await read(name))?.node,

    /** Stores the announcement of a node. Fails with `bad-input` while another machine announces itself by this name. */
    async announce(name: NodeName, said: z.output<typeof AnnounceSchema>): Promise<void> {
      const { key, controlKey, ...announced } = said
      const sealedKeys = seals.seal(JSON.stringify({ key, controlKey }), contextOf(name))
      const node = { name, ...announced, sealedKeys, until: new Date(clock.wall() + NODE_LOST_AFTER).toISOString() }
      const last = written.get(name)
      if (last?.key === said.key) {
        try {
          keep(name, said.key, await storage.update(keyOf(name), node, last.etag))
          return
        } catch (error) {
          written.delete(name)
          if (!isFailure(error, 'changed')) throw error
        }
      }
      await retryOnConflict(async () => {
        const stored = await read(name)
        const before = stored?.node
        if (before && isThere(name) && before.key !== said.key && before.address !== said.address)
          throw new ShadowError('bad-input', `a node at ${before.address} is called ${name} already`, {
            hint: 'give this one another name: SHADOW_NODE_NAME',
          })
        const etag =
          stored === undefined
            ? await storage.create(keyOf(name), node)
            : await storage.update(keyOf(name), node, stored.etag)
        keep(name, said.key, etag)
      })
    },

    /** The nodes that announced themselves lately, sorted by name. */
    async list(): Promise<readonly ControlledNode[]> {
      const keys = await storage.list('nodes/')
      const names = keys.map(key => key.slice('nodes/'.length, -'.json'.length) as NodeName)
      for (const name of heard.keys()) if (!names.includes(name)) heard.delete(name)
      const found = await mapAtMost(16, names, read)
      return found.flatMap(one => (one !== undefined && isThere(one.node.name) ? one.node : []))
    },
  }
}
