import { createHash } from 'node:crypto'
import { z } from 'zod'
import { newJoinSecret } from '../../api/join-token.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import { MEMBER_ROLES, type MemberRole } from '../../model/member.ts'
import { type NodeName, nodeName } from '../../model/names.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'

const StoredSchema = z.object({
  role: z.enum(MEMBER_ROLES),
  name: z.string().transform(nodeName),
  until: z.iso.datetime(),
  used: z.object({ at: z.iso.datetime(), by: z.string() }).nullable(),
})

// A used or expired token is kept for a while, so that a second use is told what happened.
const KEPT_MS = 86_400_000

export type JoinTokens = ReturnType<typeof joinTokens>

/**
 * The tokens by which machines join, one document `joins/<sha256>.json` each. A token is used up by a conditional write: of several machines
 * that use it at once, at any masters, exactly one joins.
 */
export function joinTokens({ storage, clock }: { storage: Storage; clock: Clock }) {
  const keyOf = (secret: string): string => `joins/${createHash('sha256').update(secret).digest('hex')}.json`
  const removeOld = async (): Promise<void> => {
    for (const key of await storage.list('joins/')) {
      const stored = await storage.get(key)
      const until = stored && Date.parse(StoredSchema.parse(stored.value).until)
      if (until !== undefined && until + KEPT_MS < clock.wall()) await storage.remove(key)
    }
  }

  const find = async (secret: string) => {
    const stored = await storage.get(keyOf(secret))
    if (stored === undefined) throw refused('the master does not know this token to join')
    return { token: StoredSchema.parse(stored.value), etag: stored.etag }
  }

  return {
    /** Fails with `unauthorised` if there is no such token: anybody may try, and the rest of a join costs more than this. */
    async mustExist(secret: string): Promise<void> {
      await find(secret)
    },

    /** Makes a token for one machine of this role and name; its secret is nowhere else. */
    async create(role: MemberRole, name: NodeName, forMs: number): Promise<{ secret: string; until: string }> {
      await removeOld()
      const secret = newJoinSecret()
      const until = new Date(clock.wall() + forMs).toISOString()
      await storage.create(keyOf(secret), { role, name, until, used: null })
      return { secret, until }
    },

    /** Removes the tokens for this machine that were not used. */
    async removeFor(role: MemberRole, name: NodeName): Promise<void> {
      for (const key of await storage.list('joins/')) {
        const stored = await storage.get(key)
        const token = stored && StoredSchema.parse(stored.value)
        if (token?.role === role && token.name === name && token.used === null) await storage.remove(key)
      }
    },

    /**
     * Uses the token up, for the machine that has the key `by`, and returns the name that the machine gets. The same machine may use it
     * again, since the answer to its first use may be lost. Fails with `unauthorised` or, for a token of another role, with `forbidden`.
     */
    use: (secret: string, role: MemberRole, by: string): Promise<NodeName> =>
      retryOnConflict(async () => {
        const { token, etag } = await find(secret)
        if (token.role !== role)
          throw new ShadowError('forbidden', `this token is for a machine of the role ${token.role}, not ${role}`, {
            hint: token.role === 'node' ? 'shadow node join' : 'shadow proxy join',
          })
        if (token.used !== null && token.used.by !== by)
          throw refused(`this token was used at ${token.used.at}: each is good for one machine`)
        if (Date.parse(token.until) <= clock.wall()) throw refused(`this token expired at ${token.until}`)
        if (token.used === null) {
          const used = { at: timestamp(clock), by }
          await storage.update(keyOf(secret), { ...token, used }, etag)
        }
        return token.name
      }),
  }
}

const refused = (why: string): ShadowError =>
  new ShadowError('unauthorised', `${why}; nothing was changed`, {
    hint: 'make another one: shadow node token NAME, or shadow proxy token NAME',
  })
