import { z } from 'zod'
import { ShadowError } from '../lib/errors.ts'
import { writeWhole } from '../lib/files.ts'
import { readPrivate } from '../lib/private-file.ts'
import { Credentials } from '../lib/tls/credentials.ts'
import { MASTER_HOST, MEMBER_ROLES, type Member, type MemberRole } from '../model/member.ts'
import type { MasterClient } from './client.ts'

const StoredSchema = z.object({
  role: z.enum(MEMBER_ROLES),
  name: z.string(),
  id: z.string(),
  /** URL of the masters. */
  master: z.string(),
  /** The address of this machine by which it reached the master: others reach the machine by it. */
  host: z.string(),
  ca: z.string(),
  certificate: z.string(),
  key: z.string(),
})

type Stored = z.output<typeof StoredSchema>

/** The place of this machine in a cluster. */
export type Membership = {
  readonly member: Member
  readonly master: string
  readonly host: string
  readonly credentials: Credentials
  /** Where it is kept. */
  readonly file: string
}

/** The file of a membership in the folder of a daemon: `<data>/node` or `<data>/proxy`. */
export const membershipFile = (folder: string): string => `${folder}/member.json`

/** Reads the membership that `shadow node join` or `shadow proxy join` has written; undefined if this machine has joined no cluster. */
export async function readMembership(folder: string, role: MemberRole): Promise<Membership | undefined> {
  const file = membershipFile(folder)
  const text = await readPrivate(file)
  if (text === undefined) return undefined
  const stored = parsed(file, text)
  if (stored.role !== role) throw new ShadowError('bad-input', `${file} is of a ${stored.role}, not of a ${role}`)
  return membershipOf(file, stored)
}

/** Keeps the membership, readable by this user only. */
export async function keepMembership(folder: string, stored: Stored): Promise<Membership> {
  const file = membershipFile(folder)
  await writeWhole(file, `${JSON.stringify(stored, null, 2)}\n`)
  return membershipOf(file, stored)
}

/** How a daemon reaches its masters: by the membership of its machine, or by a token. */
export type MasterAccess = Pick<Parameters<typeof import('./client.ts').masterClient>[0], 'url' | 'token' | 'tls'>

type Settings = { readonly master: string | undefined; readonly token: string | undefined }

/** How this daemon reaches its masters. Fails with `bad-input` if its settings are not those of a member, or if it has neither. */
export function masterAccess(
  role: MemberRole,
  { master, token }: Settings,
  membership: Membership | undefined,
): MasterAccess {
  if (membership === undefined) {
    if (token === undefined)
      throw wrong(
        'SHADOW_TOKEN',
        `is not set, and this machine has joined no cluster`,
        `shadow ${role} join --token TOKEN`,
      )
    return { url: master ?? DEFAULT_MASTER, token }
  }
  const { file, credentials } = membership
  const joined = `this machine has joined a cluster (${file}), where it shows a certificate`
  if (token !== undefined) throw wrong('SHADOW_TOKEN', `is set, but ${joined}`, `leave it out, or remove ${file}`)
  const url = master ?? membership.master
  if (!url.startsWith('https://'))
    throw wrong('SHADOW_MASTER', `is ${url}, but ${joined}; masters of a cluster have https:// URLs`, 'leave it out')
  return { url, tls: { servername: MASTER_HOST, credentials } }
}

const DEFAULT_MASTER = 'http://127.0.0.1:8080'

const wrong = (field: string, message: string, hint: string): ShadowError =>
  new ShadowError('bad-input', `settings are wrong:\n  ${field}: ${message}`, { faults: [{ field, message }], hint })

/** Gets the next certificate of this machine for a new key, and keeps both. The key never leaves the machine. */
export async function renewMembership({ file, credentials }: Membership, master: MasterClient) {
  const { certificateRequest, newPrivateKey } = await import('../lib/tls/x509.ts')
  const key = newPrivateKey()
  const { certificate } = await master.call('renewCertificate', { body: { request: await certificateRequest(key) } })
  const stored = parsed(file, (await readPrivate(file)) ?? '')
  await writeWhole(file, `${JSON.stringify({ ...stored, certificate, key }, null, 2)}\n`)
  return { ca: credentials.current.ca, certificate, key }
}

function membershipOf(file: string, { role, name, id, master, host, ca, certificate, key }: Stored): Membership {
  return { member: { role, name, id }, master, host, credentials: new Credentials({ ca, certificate, key }), file }
}

function parsed(file: string, text: string): Stored {
  try {
    return StoredSchema.parse(JSON.parse(text))
  } catch {
    // The cause might repeat the key.
    throw new ShadowError('bad-input', `${file} is not a membership of a cluster that this version can read`, {
      hint: `remove it and join again: shadow node join, shadow proxy join`,
    })
  }
}
