import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { ROLES, type Role } from '../api/calls.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { writeWhole } from '../lib/files.ts'
import { mapAtMost } from '../lib/parallel.ts'
import { readPrivate } from '../lib/private-file.ts'
import type { NodeName } from '../model/names.ts'
import type { Storage } from './storage/storage.ts'

const TokenSchema = z.object({ name: z.string(), role: z.enum(ROLES), createdAt: z.iso.datetime() })
/** For how long a master that cannot read the journal may still accept a revoked token. */
const BELIEVED_FOR_MS = 30_000
const MOST_REMEMBERED = 10_000

export type Tokens = ReturnType<typeof tokenRecords>

/** The caller. For the role `node` the name is the name of the node: its token is good for that node alone. */
export type Caller = { readonly id: string; readonly name: string; readonly role: Role }

/** The tokens, one document `tokens/<sha256>.json` each: checking a token is one read, and the store holds no secret. */
export function tokenRecords({ storage, clock }: { storage: Storage; clock: Clock }) {
  const keyOf = (id: string): string => `tokens/${id}.json`
  const idOf = (token: string): string => createHash('sha256').update(token).digest('hex')
  const known = new Map<string, { caller: Caller; until: number }>()
  /** For each token, the checks to run for its open streams. */
  const open = new Map<string, Set<() => void>>()

  const keep = async (token: string, name: string, role: Role): Promise<string> => {
    const id = idOf(token)
    await storage.create(keyOf(id), { name, role, createdAt: timestamp(clock) })
    return id
  }

  const isThere = async (id: string): Promise<boolean> => (await storage.get(keyOf(id))) !== undefined

  return {
    /** Another master may have revoked the token: check it again when it is shown next, and now for its open streams. */
    revoked(id: string): void {
      known.delete(id)
      for (const check of open.get(id) ?? []) check()
    },

    /**
     * Aborts with `unauthorised` when the token is revoked, which ends the caller's stream. It checks the token when the journal names it,
     * and every BELIEVED_FOR_MS.
     * While the storage does not answer, the token stays valid.
     */
    whileGood(id: string): Disposable & { readonly signal: AbortSignal } {
      const ended = new AbortController()
      let next: Disposable | undefined
      const check = (): void => {
        next?.[Symbol.dispose]()
        next = clock.after(BELIEVED_FOR_MS, check)
        isThere(id).then(
          there => there || ended.abort(new ShadowError('unauthorised', 'the token was revoked')),
          () => undefined, // the next check asks again
        )
      }
      next = clock.after(BELIEVED_FOR_MS, check)
      const checks = open.get(id) ?? new Set()
      open.set(id, checks.add(check))
      return {
        signal: ended.signal,
        [Symbol.dispose]() {
          next?.[Symbol.dispose]()
          checks.delete(check)
          if (checks.size === 0) open.delete(id)
        },
      }
    },

    /** The owner of this token; fails with `unauthorised`. */
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

    /** Fails with `unauthorised` if the token was revoked, through whatever master. */
    async mustBeThere(id: string): Promise<void> {
      if (!(await isThere(id))) throw new ShadowError('unauthorised', 'the token was revoked')
    },

    /** Revokes all tokens of the node. */
    async removeOfNode(node: NodeName): Promise<void> {
      for (const { id, name, role } of await this.list()) if (role === 'node' && name === node) await this.remove(id)
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

    /** The token in the file. If there is no file, it creates the file and the token. The master accepts the token afterwards. */
    async ensure(file: string, role: Role, name = `${role} of ${file}`): Promise<string> {
      const before = await readPrivate(file)
      const token = before || newToken()
      // Write the file first: a token that only the store knows would be useless.
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
