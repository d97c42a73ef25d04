import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { FrontAnnouncementSchema } from '../../api/dns-calls.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { PublicFront } from '../../model/dns.ts'
import { CLOCKS_DIFFER_BY, FRONT_LOST_AFTER } from '../../model/intervals.ts'
import { frontKey } from '../front-key.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'

const StoredSchema = z.object({
  ...FrontAnnouncementSchema.shape,
  name: z.string(),
  /** The id of the front as a member of the cluster. */
  member: z.string().optional(),
  at: z.iso.datetime(),
  /** Changes with each announcement. */
  beat: z.string(),
})
type Stored = z.output<typeof StoredSchema>

type Options = {
  readonly storage: Storage
  /** Ids of former members of the cluster: what they announced does not count. */
  readonly revoked: () => Promise<readonly string[]>
  readonly clock: Clock
}

const FOLDER = 'public-fronts/'
/** A front that has been silent for so long is forgotten: until then it may come back, and parent zones may still name it. */
const FORGOTTEN_AFTER_MS = 86_400_000
/** Several fronts that announce themselves at a time are told the same. */
const READ_COUNTS_FOR_MS = 1_000

export type PublicFronts = ReturnType<typeof publicFronts>

/**
 * The fronts that have public addresses, in `public-fronts/<front>.json`. As with nodes, each master measures on its own monotonic clock since when a front
 * has been silent. A front that a master sees for the first time counts as alive, unless its last announcement is older than clocks may differ.
 */
export function publicFronts({ storage, revoked, clock }: Options) {
  const keyOf = (name: string): string => frontKey(FOLDER, name)
  /** The last announcement of each front that was seen, and since when, by `clock.now()`. */
  const heard = new Map<string, { readonly beat: string; readonly at: number }>()
  let known: { readonly at: number; readonly fronts: Promise<readonly PublicFront[]> } | undefined

  const hear = ({ name, beat, at }: Stored): void => {
    const before = heard.get(name)
    if (before?.beat === beat) return
    const isOld = before === undefined && clock.wall() - Date.parse(at) > FRONT_LOST_AFTER + CLOCKS_DIFFER_BY
    heard.set(name, { beat, at: isOld ? Number.NEGATIVE_INFINITY : clock.now() })
  }

  const isAlive = ({ name, isLeaving }: Stored): boolean =>
    !isLeaving && clock.now() - (heard.get(name)?.at ?? Number.NEGATIVE_INFINITY) < FRONT_LOST_AFTER

  const read = async (): Promise<readonly PublicFront[]> => {
    const [keys, former] = await Promise.all([storage.list(FOLDER), revoked()])
    const found = await mapAtMost(16, keys, async key => StoredSchema.safeParse((await storage.get(key))?.value).data)
    const fronts: PublicFront[] = []
    for (const stored of found) {
      if (stored === undefined) continue
      hear(stored)
      const { name, addresses, isNameServer, member = '' } = stored
      const isGone = former.includes(member) || clock.wall() - Date.parse(stored.at) > FORGOTTEN_AFTER_MS
      if (isGone) await storage.remove(keyOf(name))
      else fronts.push({ name, addresses, isNameServer, isAlive: isAlive(stored) })
    }
    return fronts
  }

  return {
    /** All that are known, those that are lost among them. */
    all(): Promise<readonly PublicFront[]> {
      if (known !== undefined && clock.now() - known.at < READ_COUNTS_FOR_MS) return known.fronts
      const fronts = read()
      known = { at: clock.now(), fronts }
      fronts.catch(() => {
        if (known?.fronts === fronts) known = undefined
      })
      return fronts
    },

    async announce(
      name: string,
      said: z.output<typeof FrontAnnouncementSchema> & { readonly member?: string | undefined },
    ) {
      const before = (await known?.fronts.catch(() => undefined))?.find(one => one.name === name)
      await retryOnConflict(async () => {
        const stored = await storage.get(keyOf(name))
        const beat = randomBytes(9).toString('base64url')
        const document: Stored = { name, ...said, at: timestamp(clock), beat }
        await (stored === undefined
          ? storage.create(keyOf(name), document)
          : storage.update(keyOf(name), document, stored.etag))
        hear(document)
      })
      const { addresses, isNameServer } = said
      if (!isDeepStrictEqual(before, { name, addresses, isNameServer, isAlive: !said.isLeaving })) known = undefined
    },
  }
}
