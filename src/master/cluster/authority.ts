import { z } from 'zod'
import { certificateHash } from '../../api/join-token.ts'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { Seals } from '../../lib/seals.ts'
import type { Credential } from '../../lib/tls/credentials.ts'
import { authorityCertificate, certificateRequest, newPrivateKey, signCertificate } from '../../lib/tls/x509.ts'
import { CERTIFICATE_BACKDATED } from '../../model/intervals.ts'
import { MASTER_HOST, type Member, memberHost } from '../../model/member.ts'
import type { Storage } from '../storage/storage.ts'

const KEY = 'cluster/ca.json'
const CONTEXT = 'the key of the CA of the cluster'
const CA_LASTS_MS = 10 * 365 * 86_400_000

const StoredSchema = z.object({
  certificate: z.string(),
  sealedKey: z.string(),
  url: z.string(),
  createdAt: z.iso.datetime(),
})

type Options = { readonly storage: Storage; readonly seals: Seals; readonly clock: Clock }

/** The CA of the cluster. Each master has its key, so any master signs. */
export type ClusterAuthority = {
  /** Its certificate, PEM, and the hash of that. */
  readonly ca: string
  readonly caHash: string
  /** Where members and the CLI reach the masters. */
  readonly url: string
  readonly createdAt: string
  /** Signs the next certificate of a member; `until`: when that expires, in milliseconds since the epoch. */
  sign(member: Member, request: string): Promise<{ readonly certificate: string; readonly until: number }>
  /** A new key and certificate for a master. They are in memory only: a master that starts makes its own. */
  forMaster(): Promise<Credential>
}

/** Makes the CA of a cluster whose masters are reached at the URL; fails with `already-exists` if the store has one. */
export async function initCluster({
  storage,
  seals,
  clock,
  url,
}: Options & { readonly url: string }): Promise<{ ca: string; caHash: string }> {
  const from = clock.wall() - CERTIFICATE_BACKDATED
  const key = newPrivateKey()
  const certificate = await authorityCertificate({ name: 'Shadow cluster CA', key, from, until: from + CA_LASTS_MS })
  const document = { certificate, sealedKey: seals.seal(key, CONTEXT), url, createdAt: timestamp(clock) }
  try {
    await storage.create(KEY, document)
  } catch (cause) {
    if (!isFailure(cause, 'already-exists')) throw cause
    throw new ShadowError('already-exists', `${storage.name} has a cluster already; its CA was not changed`, {
      cause,
      hint: 'shadow cluster show',
    })
  }
  return { ca: certificate, caHash: certificateHash(certificate) }
}

/** The CA of the store, whose certificates last so long; undefined if nobody has made one. Fails with `secret-unreadable` if this master does not have the key for secrets. */
export async function readCluster({
  storage,
  seals,
  clock,
  lastsMs,
}: Options & { readonly lastsMs: number }): Promise<ClusterAuthority | undefined> {
  const stored = await storage.get(KEY)
  if (stored === undefined) return undefined
  const document = StoredSchema.parse(stored.value)
  return authorityOf(document, { key: seals.open(document.sealedKey, CONTEXT), clock, lastsMs })
}

/** The document of the CA with its key encrypted by the newest key for secrets; undefined if it is so already. */
export function resealedAuthority(value: { readonly sealedKey: string }, seals: Seals): object | undefined {
  if (seals.isCurrent(value.sealedKey)) return undefined
  return { ...value, sealedKey: seals.seal(seals.open(value.sealedKey, CONTEXT), CONTEXT) }
}

function authorityOf(
  { certificate: ca, url, createdAt }: z.output<typeof StoredSchema>,
  { key, clock, lastsMs }: { readonly key: string; readonly clock: Clock; readonly lastsMs: number },
): ClusterAuthority {
  const authority = { certificate: ca, key }
  const sign = async (request: string, terms: { name: string; hosts: string[]; isServer: boolean }) => {
    const now = clock.wall()
    const until = now + lastsMs
    const from = now - Math.min(CERTIFICATE_BACKDATED, lastsMs / 3)
    return { certificate: await signCertificate(authority, { ...terms, request, from, until }), until }
  }
  return {
    ca,
    caHash: certificateHash(ca),
    url,
    createdAt,
    sign: (member, request) =>
      sign(request, { name: member.name, hosts: [memberHost(member)], isServer: member.role === 'node' }),
    async forMaster() {
      const own = newPrivateKey()
      const terms = { name: 'master', hosts: [MASTER_HOST], isServer: true }
      return { ca, key: own, certificate: (await sign(await certificateRequest(own), terms)).certificate }
    },
  }
}
