import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { ROLES, type Role } from '../api/routes.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { writeWhole } from '../lib/files.ts'
import { mapAtMost } from '../lib/parallel.ts'
import { readPrivate } from '../lib/private-file.ts'
import type { Storage } from './storage/storage.ts'

const TokenSchema = z.object({ name: z.string(), role: z.enum(ROLES), createdAt: z.iso.datetime() })
/** A revoked token may still be taken for this long by a master that cannot read the journal. */
const BELIEVED_FOR_MS = 30_000
const MOST_REMEMBERED = 10_000

export type Tokens = ReturnType<typeof tokenRecords>

/** Who calls. Of the role node the name is the node's: the token is good for that node alone. */
export type Caller = { readonly id: string; readonly name: string; readonly role: Role }

/** Who may call: `tokens/<sha256>.json` for each token, so that a look-up is one read and the store holds no secret. */
export function tokenRecords({ storage, clock }: { storage: Storage; clock: Clock }) {
  const keyOf = (id: string): string => `tokens/${id}.json`
  const idOf = (token: string): string => createHash('sha256').update(token).digest('hex')
  const known = new Map<string, { caller: Caller; until: number }>()
  /** Looks that are taken for what is open, by token. */
  const open = new Map<string, Set<() => void>>()

  const keep = async (token: string, name: string, role: Role): Promise<string> => {
    const id = idOf(token)
    await storage.create(keyOf(id), { name, role, createdAt: timestamp(clock) })
    return id
  }

  const isThere = async (id: string): Promise<boolean> => (await storage.get(keyOf(id))) !== undefined

  return {
    /** Another master may have revoked it: it is looked for when it is shown next, and for what is open by it now. */
    revoked(id: string): void {
      known.delete(id)
      for (const look of open.get(id) ?? []) look()
    },

    /**
     * Aborts with `unauthorised` when the token is revoked: what its caller has open ends with it. Besides being told, it looks by
     * itself every BELIEVED_FOR_MS; while the storage does not answer, the token counts.
     */
    whileGood(id: string): Disposable & { readonly signal: AbortSignal } {
      const ended = new AbortController()
      let next: Disposable | undefined
      const look = (): void => {
        next?.[Symbol.dispose]()
        next = clock.after(BELIEVED_FOR_MS, look)
        isThere(id).then(
          there => there || ended.abort(new ShadowError('unauthorised', 'the token was revoked')),
          () => undefined, // asked again, at the latest at the next look
        )
      }
      next = clock.after(BELIEVED_FOR_MS, look)
      const looks = open.get(id) ?? new Set()
      open.set(id, looks.add(look))
      return {
        signal: ended.signal,
        [Symbol.dispose]() {
          next?.[Symbol.dispose]()
          looks.delete(look)
          if (looks.size === 0) open.delete(id)
        },
      }
    },

    /** Whoever shows this token; fails with `unauthorised`. */
    async callerOf(token: string): Promise<Caller> {
      const id = idOf(token)
      const remembered = known.get(id)
      if (remembered !== undefined && remembered.until > clock.now()) return remembered.caller
      known.delete(id)
      const stored = await storage.get(keyOf(id))
      if (stored === undefined) throw new ShadowError('unauthorised', 'the master does not know this token')
      const { name, role } = TokenSchema.parse(stored.value)
      const caller = { id, name, role }
      if (known.size >= MOST_REMEMBERED) known.clear()
      known.set(id, { caller, until: clock.now() + BELIEVED_FOR_MS })
      return caller
    },

    async create(name: string, role: Role): Promise<{ id: string; token: string }> {
      const token = newToken()
      return { id: await keep(token, name, role), token }
    },

    async list() {
      const ids = (await storage.list('tokens/')).map(key => key.slice('tokens/'.length, -'.json'.length))
      const found = await mapAtMost(16, ids, async id => ({ id, stored: await storage.get(keyOf(id)) }))
      return found.flatMap(({ id, stored }) => (stored ? { id, ...TokenSchema.parse(stored.value) } : []))
    },

    async remove(id: string): Promise<void> {
      if (!/^[0-9a-f]{64}$/.test(id) || !(await isThere(id)))
        throw new ShadowError('not-found', 'no token has this id', { hint: 'shadow token ls' })
      await storage.remove(keyOf(id))
      this.revoked(id)
    },

    /** The token in the file, made with its file where there is none, and known to the master afterwards. */
    async ensure(file: string, role: Role, name = `${role} of ${file}`): Promise<string> {
      const before = await readPrivate(file)
      const token = before || newToken()
      // The file first: a token that only the store knows would be of use to nobody.
      if (!before) await writeWhole(file, `${token}\n`)
      try {
        await keep(token, name, role)
      } catch (error) {
        if (!isFailure(error, 'already-exists')) throw error
      }
      return token
    },
  }
}

const newToken = (): string => `shadow_${randomBytes(32).toString('base64url')}`
