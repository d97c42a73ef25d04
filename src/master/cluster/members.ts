import { createHash } from 'node:crypto'
import { z } from 'zod'
import { MemberSchema } from '../../api/member-schema.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { publicKeyIn } from '../../lib/tls/x509.ts'
import { CLOCKS_DIFFER_BY } from '../../model/intervals.ts'
import type { Member, MemberRole } from '../../model/member.ts'
import type { NodeName } from '../../model/names.ts'
import { type Caller, KnownCallers } from '../known-callers.ts'
import { retryOnConflict } from '../retry.ts'
import type { Storage } from '../storage/storage.ts'
import type { ClusterAuthority } from './authority.ts'
import type { JoinTokens } from './join-tokens.ts'

type Stored = z.output<typeof MemberSchema>
const RevokedSchema = z.object({ until: z.iso.datetime() })

type Options = {
  readonly storage: Storage
  readonly clock: Clock
  readonly authority: ClusterAuthority
  readonly tokens: JoinTokens
}

type Join = { readonly secret: string; readonly role: MemberRole; readonly request: string; readonly at: string }

export type Members = ReturnType<typeof memberRecords>

/**
 * The machines that have joined the cluster, in `members/<role>.<name>.json`. The id in a member's certificate must be the one in its
 * document: a machine that was removed, or whose name another machine has joined by, opens nothing. Ids whose certificates have not expired
 * yet are in `revoked/<id>.json` too, for nodes, which check their callers while no master answers.
 */
export function memberRecords({ storage, clock, authority, tokens }: Options) {
  const keyOf = (role: MemberRole, name: string): string => `members/${role}.${name}.json`
  const revokedKey = (id: string): string => `revoked/${id}.json`
  const idOf = ({ role, name, id }: Member): string => `member ${role}.${name} ${id}`

  const read = async (role: MemberRole, name: string): Promise<(Stored & { etag: string }) | undefined> => {
    const stored = await storage.get(keyOf(role, name))
    return stored && { ...MemberSchema.parse(stored.value), etag: stored.etag }
  }
  const isThere = async (caller: string): Promise<boolean> => {
    const [, role = '', name = '', id = ''] = /^member (\w+)\.(\S+) (\w+)$/.exec(caller) ?? []
    return (await read(role as MemberRole, name))?.id === id
  }
  const known = new KnownCallers({ clock, isThere, what: 'the certificate' })
  const revoke = async (member: Stored): Promise<void> => {
    await storage.create(revokedKey(member.id), member).catch(error => {
      if (!isFailure(error, 'already-exists')) throw error
    })
    known.revoked(idOf(member))
  }

  return {
    /** The members whose certificates were checked. */
    known,

    /** Another master may have changed the member with this key in the store. */
    changed(member: string): void {
      known.changed(id => id.startsWith(`member ${member} `))
    },

    /** The member with this certificate; fails with `unauthorised` if it was removed. */
    async callerOf(member: Member): Promise<Caller> {
      const id = idOf(member)
      const remembered = known.get(id)
      if (remembered !== undefined) return remembered
      if (!(await isThere(id)))
        throw new ShadowError(
          'unauthorised',
          `the ${member.role} ${member.name} with this certificate is not in the cluster`,
          {
            hint: `it was removed, or another machine has joined by its name: shadow ${member.role} token ${member.name}`,
          },
        )
      return known.keep({ id, name: member.name, role: member.role, member: member.id })
    },

    /** Makes the machine with this request a member, by its token. Fails as `JoinTokens.use` does, and with `bad-input` if its clock is wrong. */
    async join({ secret, role, request, at }: Join): Promise<Stored & { readonly certificate: string }> {
      mustAgree(Date.parse(at), clock.wall())
      await tokens.mustExist(secret)
      const key = createHash('sha256')
        .update(await publicKeyIn(request))
        .digest('hex')
      const name = await tokens.use(secret, role, key)
      // The same for the same token and key, so that a request that is sent again makes no second member.
      const id = createHash('sha256').update(`${secret} ${key}`).digest('hex').slice(0, 16)
      if ((await storage.get(revokedKey(id))) !== undefined)
        throw new ShadowError('unauthorised', `this ${role} has joined as ${name} by this token, and was removed since`)
      const { certificate, until } = await authority.sign({ role, name, id }, request)
      const member = { role, name, id, joinedAt: timestamp(clock), until: new Date(until).toISOString() }
      await retryOnConflict(async () => {
        const before = await read(role, name)
        if (before === undefined) await storage.create(keyOf(role, name), member)
        else if (before.id !== id) {
          await revoke(before)
          await storage.update(keyOf(role, name), member, before.etag)
        }
      })
      return { ...member, certificate }
    },

    /** The next certificate of a member. */
    async renew(caller: Caller, request: string): Promise<{ certificate: string }> {
      const role = caller.role as MemberRole
      const { certificate, until } = await authority.sign({ role, name: caller.name, id: caller.member ?? '' }, request)
      await retryOnConflict(async () => {
        const before = await read(role, caller.name)
        if (before?.id !== caller.member || before === undefined)
          throw new ShadowError('unauthorised', `the ${role} ${caller.name} is not in the cluster any more`)
        const { etag, ...member } = before
        await storage.update(keyOf(role, caller.name), { ...member, until: new Date(until).toISOString() }, etag)
      })
      return { certificate }
    },

    has: async (role: MemberRole, name: NodeName): Promise<boolean> => (await read(role, name)) !== undefined,

    async list(): Promise<Stored[]> {
      const found = await mapAtMost(16, await storage.list('members/'), key => storage.get(key))
      return found.flatMap(stored => (stored ? MemberSchema.parse(stored.value) : []))
    },

    /** Removes a member: its certificates open nothing any more. Fails with `not-found`. */
    async remove(role: MemberRole, name: NodeName): Promise<void> {
      const member = await read(role, name)
      if (member === undefined)
        throw new ShadowError('not-found', `no ${role} of the cluster is called ${name}`, {
          hint: 'shadow cluster members',
        })
      await revoke(member)
      await storage.remove(keyOf(role, name))
      known.revoked(idOf(member))
    },

    /** Removes the node of this name if it is a member. */
    async removeNode(name: NodeName): Promise<void> {
      if ((await read('node', name)) !== undefined) await this.remove('node', name)
    },

    /** The ids of former members whose certificates have not expired. */
    async revoked(): Promise<string[]> {
      const keys = await storage.list('revoked/')
      const found = await mapAtMost(16, keys, async key => ({ key, stored: await storage.get(key) }))
      const ids: string[] = []
      for (const { key, stored } of found) {
        if (stored === undefined) continue
        if (Date.parse(RevokedSchema.parse(stored.value).until) < clock.wall()) await storage.remove(key)
        else ids.push(key.slice('revoked/'.length, -'.json'.length))
      }
      return ids
    },
  }
}

/** Fails with `bad-input` if the clock of the caller differs from this master's: certificates and leases go by both. */
function mustAgree(theirs: number, ours: number): void {
  const ahead = theirs - ours
  if (Math.abs(ahead) <= CLOCKS_DIFFER_BY) return
  const [there, here] = [theirs, ours].map(ms => new Date(ms).toISOString())
  const by = `${Math.round(Math.abs(ahead) / 1_000)} s ${ahead > 0 ? 'ahead of' : 'behind'}`
  throw new ShadowError(
    'bad-input',
    `the clock of this machine says ${there} and is ${by} that of the master, ${here}; nothing was changed`,
    { hint: 'set both by NTP: timedatectl set-ntp true' },
  )
}
