import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import { type AnnounceSchema, NodeSchema } from '../api/node-schemas.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { Seals } from '../lib/seals.ts'
import type { Node } from '../model/app.ts'
import { CLOCKS_DIFFER_BY, NODE_LOST_AFTER } from '../model/intervals.ts'
import type { NodeName } from '../model/names.ts'
import { type Cordon, nextNodeState, servesApps } from '../model/node-state.ts'
import { retryOnConflict } from './retry.ts'
import type { Storage } from './storage/storage.ts'

const KeysSchema = z.object({ key: z.string(), controlKey: z.string() })
/** `beat` changes with each announcement, and only with an announcement. */
const StoredSchema = z.looseObject({ name: z.string(), sealedKeys: z.string(), beat: z.string().optional() })
/** A node with the key that only masters see; the key is undefined if the record was written by an earlier version. */
export type ControlledNode = Node & { readonly controlKey: string | undefined }

export type Nodes = ReturnType<typeof nodeRecords>

/** What a node says, and its id as a member of the cluster, which its certificate says. */
type Announced = z.output<typeof AnnounceSchema> & { readonly member?: string | undefined }

type Options = {
  readonly storage: Storage
  readonly clock: Clock
  readonly seals: Seals
  /** Ids of former members of the cluster: their nodes do not count, whatever they announced before. */
  readonly revoked?: (() => Promise<readonly string[]>) | undefined
}
const none = async (): Promise<readonly string[]> => []

/**
 * The nodes that announced themselves, in `nodes/<node>.json`. A node counts as alive while its document changes often enough.
 * This master measures that on its own monotonic clock, because `until` comes from another machine's wall clock, which may be wrong by
 * hours.
 * A node that this master sees for the first time counts as alive until it has been silent for NODE_LOST_AFTER.
 * The cordon of a node is in the same document. Announcements carry it on, and a change of it is no sign of life.
 */
export function nodeRecords({ storage, clock, seals, revoked = none }: Options) {
  const keyOf = (name: NodeName): string => `nodes/${name}.json`
  /** Versions that this master wrote: while a node uses one master, an announcement is one write and no read. */
  const written = new Map<NodeName, { etag: string; node: Node }>()

  /** The last announcement of each node that we saw, and since when, by `clock.now()`. */
  const heard = new Map<NodeName, { beat: string; at: number }>()

  const hear = (name: NodeName, beat: string): void => {
    if (heard.get(name)?.beat !== beat) heard.set(name, { beat, at: clock.now() })
  }

  /** A node that speaks is there for this master, even while the store takes no writes: a full disk must not take all nodes away. */
  const stillThere = (name: NodeName): void => {
    const last = heard.get(name)
    if (last !== undefined) heard.set(name, { ...last, at: clock.now() })
  }

  const contextOf = (name: string): string => `the keys of the node ${name}`

  const nodeOf = (value: unknown): ControlledNode => {
    const stored = StoredSchema.safeParse(value)
    if (!stored.success) return { ...NodeSchema.parse(value), controlKey: undefined }
    const { sealedKeys, ...rest } = stored.data
    const { key, controlKey } = KeysSchema.parse(JSON.parse(seals.open(sealedKeys, contextOf(rest.name))))
    return { ...NodeSchema.parse({ ...rest, key }), controlKey }
  }

  const read = async (name: NodeName): Promise<{ node: ControlledNode; value: object; etag: string } | undefined> => {
    const stored = await storage.get(keyOf(name))
    if (stored === undefined) return undefined
    const { etag, value } = stored
    if (written.get(name)?.etag !== etag) written.delete(name) // what this master wrote is no longer what is known of the node
    hear(name, StoredSchema.safeParse(value).data?.beat ?? etag)
    const node = nodeOf(value)
    return { node: isThere(name) ? node : { ...node, state: 'gone', since: node.until }, value: value as object, etag }
  }

  const isThere = (name: NodeName): boolean => {
    const last = heard.get(name)
    return last !== undefined && clock.now() - last.at < NODE_LOST_AFTER
  }

  /** By how much the clock of a node is ahead of this master's, where that is more than both may differ by. */
  const aheadMs = (at: string | undefined): number | undefined => {
    const ahead = at === undefined ? 0 : Date.parse(at) - clock.wall()
    return Math.abs(ahead) > CLOCKS_DIFFER_BY ? ahead : undefined
  }

  /** Fails with `name-taken` while another machine is the node. An address or a key alone changes with a restart. */
  const mustBeTheSame = (before: Node | undefined, said: Pick<Announced, 'boot'> & Partial<Announced>): void => {
    if (before === undefined || !isThere(before.name)) return
    const isOtherBoot = before.boot !== undefined && said.boot !== undefined && before.boot !== said.boot
    const isOtherKey = said.key !== undefined && before.key !== said.key && before.address !== said.address
    if (isOtherBoot || isOtherKey) throw nameTaken(before)
  }

  /** The document of a node that announces itself, with what was known of it before. */
  const documentOf = (name: NodeName, said: Announced, before: Node | undefined) => {
    const { key, controlKey, at, ...announced } = said
    const clockAheadMs = aheadMs(at)
    const cordon = before?.cordon
    const isDraining = cordon?.drain !== undefined
    const state = nextNodeState(before?.state, { isSilent: false, isWell: said.trouble !== true, isDraining })
    const since = before?.state === state && before.since !== undefined ? before.since : timestamp(clock)
    const until = new Date(clock.wall() + NODE_LOST_AFTER).toISOString()
    const node = {
      name,
      ...announced,
      ...(clockAheadMs !== undefined && { clockAheadMs }),
      state,
      since,
      ...(cordon && { cordon }),
      until,
    }
    const beat = randomBytes(9).toString('base64url')
    const sealedKeys = seals.seal(JSON.stringify({ key, controlKey }), contextOf(name))
    return { node: { ...node, key }, beat, document: { ...node, sealedKeys, beat } }
  }

  const all = async (): Promise<readonly ControlledNode[]> => {
    const keys = await storage.list('nodes/')
    const names = keys.map(key => key.slice('nodes/'.length, -'.json'.length) as NodeName)
    for (const name of heard.keys()) if (!names.includes(name)) heard.delete(name)
    const [found, former] = [await mapAtMost(16, names, read), await revoked()]
    return found.flatMap(one => one?.node ?? []).filter(({ member = '' }) => !former.includes(member))
  }

  return {
    async find(name: NodeName): Promise<ControlledNode | undefined> {
      const node = (await read(name))?.node
      return node?.member !== undefined && (await revoked()).includes(node.member) ? undefined : node
    },

    /** The node; fails with `not-found`. */
    async get(name: NodeName): Promise<ControlledNode> {
      const stored = await read(name)
      if (stored === undefined) throw noNode(name)
      return stored.node
    },

    /**
     * Stores the announcement of a node, and returns its cordon. Fails with `name-taken` while another machine announces itself by this name.
     * `mayJoin` runs before a node that has no record gets one.
     */
    async announce(
      name: NodeName,
      said: Announced,
      mayJoin: () => Promise<void> = async () => undefined,
    ): Promise<Cordon | undefined> {
      const keep = ({ node, beat }: ReturnType<typeof documentOf>, etag: string): Cordon | undefined => {
        written.set(name, { etag, node })
        hear(name, beat)
        return node.cordon
      }
      const last = written.get(name)
      if (last?.node.key === said.key && last.node.boot === said.boot) {
        try {
          const before = isThere(name) ? last.node : { ...last.node, state: 'gone' as const }
          const next = documentOf(name, said, before)
          return keep(next, await storage.update(keyOf(name), next.document, last.etag))
        } catch (error) {
          written.delete(name)
          if (!isFailure(error, 'changed')) {
            stillThere(name)
            throw error
          }
        }
      }
      return retryOnConflict(async () => {
        const stored = await read(name)
        const before = stored?.node
        mustBeTheSame(before, said)
        if (stored === undefined) await mayJoin()
        const next = documentOf(name, said, before)
        if (stored === undefined) return keep(next, await storage.create(keyOf(name), next.document))
        try {
          return keep(next, await storage.update(keyOf(name), next.document, stored.etag))
        } catch (error) {
          if (before?.key === said.key && !isFailure(error, 'changed')) stillThere(name)
          throw error
        }
      })
    },

    /** Fails with `name-taken` while another machine than the one with this boot is the node of this name. */
    async mustBeBoot(name: NodeName, boot: string): Promise<void> {
      const last = isThere(name) ? written.get(name)?.node : undefined
      mustBeTheSame(last ?? (await read(name))?.node, { boot })
    },

    /** By how much the clock of a node that says `at` is ahead of this master's; undefined where they agree. */
    aheadMs,

    /** Changes the cordon of the node; returns the node as it is then. Fails with `not-found`. */
    changeCordon: (name: NodeName, next: (now: Cordon | undefined) => Cordon | undefined): Promise<ControlledNode> =>
      retryOnConflict(async () => {
        const stored = await read(name)
        if (stored === undefined) throw noNode(name)
        const { node, value, etag } = stored
        const cordon = next(node.cordon)
        const { cordon: _, ...others } = value as { cordon?: unknown }
        // Whether the node is well is known from its announcement only; a node that serves drains from now on.
        const recorded = nodeOf(value).state
        const isDraining = cordon?.drain !== undefined
        const state = servesApps(recorded) ? nextNodeState(recorded, { ...WELL, isDraining }) : recorded
        const changed = {
          ...others,
          state,
          ...(state !== recorded && { since: timestamp(clock) }),
          ...(cordon && { cordon }),
        }
        await storage.update(keyOf(name), changed, etag)
        const after = await read(name)
        if (after === undefined) throw noNode(name)
        return after.node
      }),

    /** Removes the record of the node. */
    async remove(name: NodeName): Promise<void> {
      written.delete(name)
      await storage.remove(keyOf(name))
      heard.delete(name)
    },

    /** All nodes that have a record, sorted by name. */
    all,
    /** The nodes that announced themselves lately, sorted by name. */
    list: async (): Promise<readonly ControlledNode[]> => (await all()).filter(({ state }) => state !== 'gone'),
  }
}

const WELL = { isSilent: false, isWell: true }

const nameTaken = ({ name, address }: Node): ShadowError =>
  new ShadowError(
    'name-taken',
    `another machine, at ${address}, is the node ${name}, and announced itself in the last seconds`,
    {
      hint: `let each machine join by a name of its own (shadow node token NAME; without a cluster SHADOW_NODE_NAME), and copy no data folder of a node that still runs; a machine that was just restarted is let in after ${NODE_LOST_AFTER / 1_000} s`,
      retryAfterMs: NODE_LOST_AFTER,
    },
  )

const noNode = (name: NodeName): ShadowError =>
  new ShadowError('not-found', `no node is called ${name}`, { hint: 'shadow node ls' })
