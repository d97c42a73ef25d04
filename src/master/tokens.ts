import { createHash, randomBytes } from 'node:crypto'
import { z } from 'zod'
import { ROLES, type Role } from '../api/call-shape.ts'
import { AppPatternSchema } from '../api/token-calls.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { writeWhole } from '../lib/files.ts'
import { mapAtMost } from '../lib/parallel.ts'
import { readPrivate } from '../lib/private-file.ts'
import type { NodeName } from '../model/names.ts'
import type { Scope } from '../model/scope.ts'
import { type Caller, KnownCallers } from './known-callers.ts'
import type { Storage } from './storage/storage.ts'

const TokenSchema = z.object({
  name: z.string(),
  role: z.enum(ROLES),
  apps: z.array(AppPatternSchema).optional(),
  createdAt: z.iso.datetime(),
})

export type Tokens = ReturnType<typeof tokenRecords>

/** The tokens, one document `tokens/<sha256>.json` each: checking a token is one read, and the store holds no secret. */
export function tokenRecords({ storage, clock }: { storage: Storage; clock: Clock }) {
  const keyOf = (id: string): string => `tokens/${id}.json`
  const idOf = (token: string): string => createHash('sha256').update(token).digest('hex')
  const isThere = async (id: string): Promise<boolean> => (await storage.get(keyOf(id))) !== undefined
  const known = new KnownCallers({ clock, isThere, what: 'the token' })

  const callerWith = async (id: string): Promise<Caller | undefined> => {
    const remembered = known.get(id)
    if (remembered !== undefined) return remembered
    const stored = await storage.get(keyOf(id))
    if (stored === undefined) return undefined
    const { name, role, apps } = TokenSchema.parse(stored.value)
    return known.keep({ id, name, role, apps })
  }

  const keep = async (token: string, name: string, role: Role, apps?: Scope): Promise<string> => {
    const id = idOf(token)
    await storage.create(keyOf(id), { name, role, ...(apps && { apps }), createdAt: timestamp(clock) })
    return id
  }

  return {
    /** The callers whose tokens were found. */
    known,

    /** The owner of this token; fails with `unauthorised`. */
    async callerOf(token: string): Promise<Caller> {
      const caller = await callerWith(idOf(token))
      if (caller === undefined) throw new ShadowError('unauthorised', 'the master does not know this token')
      return caller
    },

    /** The owner of the token with this id; undefined if there is none: it was revoked. */
    callerWith,

    async create(name: string, role: Role, apps?: Scope): Promise<{ id: string; token: string }> {
      const token = newToken()
      return { id: await keep(token, name, role, apps), token }
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

    /** The owners, with the apps that each of their tokens is for. */
    async owners(): Promise<readonly { readonly name: string; readonly apps: Scope }[]> {
      return (await this.list()).flatMap(({ role, name, apps = [] }) => (role === 'owner' ? [{ name, apps }] : []))
    },

    async remove(id: string): Promise<void> {
      if (!/^[0-9a-f]{64}$/.test(id) || !(await isThere(id)))
        throw new ShadowError('not-found', 'no token has this id', { hint: 'shadow token ls' })
      await storage.remove(keyOf(id))
      known.revoked(id)
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
