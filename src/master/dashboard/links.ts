import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Storage } from '../storage/storage.ts'

const LinkSchema = z.object({ token: z.string(), until: z.iso.datetime(), usedAt: z.iso.datetime().nullable() })

const GOOD_FOR_MS = 120_000
/** A link that was used or has expired is kept for a while, so that a second use is told what happened. */
const KEPT_MS = 3_600_000

/**
 * The one-time links to the dashboard, one document `dashboard-links/<sha256 of the code>.json` each. A link is used up by a conditional write:
 * of several browsers that follow it at once, at any masters, exactly one is signed in.
 */
export function dashboardLinks({ storage, clock }: { storage: Storage; clock: Clock }) {
  const keyOf = (code: string): string => `dashboard-links/${createHash('sha256').update(code).digest('hex')}.json`

  async function removeOld(): Promise<void> {
    for (const key of await storage.list('dashboard-links/')) {
      const stored = await storage.get(key)
      const until = stored && Date.parse(LinkSchema.parse(stored.value).until)
      if (until !== undefined && until + KEPT_MS < clock.wall()) await storage.remove(key)
    }
  }

  return {
    /** Makes a link for the owner of the token with this id; its code is nowhere else. */
    async create(token: string): Promise<{ code: string; until: string }> {
      await removeOld()
      const code = randomBytes(32).toString('base64url')
      const until = new Date(clock.wall() + GOOD_FOR_MS).toISOString()
      await storage.create(keyOf(code), { token, until, usedAt: null })
      return { code, until }
    },

    /** Uses the link up, and returns the id of its token. Fails with `unauthorised`. */
    async use(code: string): Promise<string> {
      const stored = await storage.get(keyOf(code))
      if (stored === undefined) throw refused('the master does not know this link')
      const link = LinkSchema.parse(stored.value)
      if (link.usedAt !== null) throw refused(`this link was used at ${link.usedAt}, and is good for one time`)
      if (Date.parse(link.until) <= clock.wall()) throw refused(`this link has expired at ${link.until}`)
      try {
        await storage.update(keyOf(code), { ...link, usedAt: timestamp(clock) }, stored.etag)
      } catch (cause) {
        if (isFailure(cause, 'changed')) throw refused('this link was used just now, and is good for one time')
        throw cause
      }
      return link.token
    },
  }
}

const refused = (why: string): ShadowError =>
  new ShadowError('unauthorised', why, { hint: 'make another one: shadow dashboard' })
