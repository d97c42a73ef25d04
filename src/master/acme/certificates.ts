import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { type Clock, timestamp } from '../../lib/clock.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { Seals } from '../../lib/seals.ts'
import type { OrderTimes } from '../../model/ordered-certificate.ts'
import type { Storage } from '../storage/storage.ts'

const StoredSchema = z.object({
  name: z.string(),
  wantedAt: z.iso.datetime(),
  /** When the first order was begun. */
  orderedAt: z.iso.datetime().optional(),
  failures: z.int().default(0),
  nextAt: z.iso.datetime().optional(),
  problem: z.string().optional(),
  current: z
    .object({ chain: z.string(), sealedKey: z.string(), from: z.iso.datetime(), until: z.iso.datetime() })
    .optional(),
})
export type CertificateDocument = z.output<typeof StoredSchema>
type Current = NonNullable<CertificateDocument['current']>
export type CertificateRecord = { readonly document: CertificateDocument; readonly etag: string }
export type CertificateRecords = ReturnType<typeof certificateRecords>

export const CERTIFICATES = 'certificates/'
/** The problem of a certificate while its order runs: it stays if the master dies meanwhile. */
export const INTERRUPTED = 'the order was interrupted'
const PAGE = 1_000
const contextOf = (name: string): string => `the key of the certificate for ${name}`
const keyOf = (name: string): string => `${CERTIFICATES}${name.replace(/^\*/, '_wildcard')}.json`

/** The certificates that come by ACME, one document `certificates/<name>.json` each, with the state of its order. Keys are encrypted. */
export function certificateRecords({ storage, seals, clock }: { storage: Storage; seals: Seals; clock: Clock }) {
  const known = new Map<string, CertificateRecord>()
  const readKey = async (key: string): Promise<CertificateRecord | undefined> => {
    const stored = await storage.get(key)
    return stored && { document: StoredSchema.parse(stored.value), etag: stored.etag }
  }

  return {
    keyOf,
    read: (name: string) => readKey(keyOf(name)),

    /** All of them. Only those that have changed since the last call are read. */
    async all(): Promise<readonly CertificateRecord[]> {
      const etags = new Map<string, string>()
      for (let after: string | undefined; ; ) {
        const page = await storage.versions(CERTIFICATES, { after, limit: PAGE })
        for (const [key, etag] of page) etags.set(key, etag)
        if (page.size < PAGE) break
        after = [...page.keys()].at(-1)
      }
      for (const key of known.keys()) if (!etags.has(key)) known.delete(key)
      await mapAtMost(16, [...etags], async ([key, etag]) => {
        if (known.get(key)?.etag === etag) return
        const record = await readKey(key)
        if (record !== undefined) known.set(key, record)
      })
      return [...known.values()]
    },

    /** Notes that this certificate is wanted. Already so is success. */
    async want(name: string): Promise<CertificateRecord> {
      const document: CertificateDocument = { name, wantedAt: timestamp(clock), failures: 0 }
      try {
        return { document, etag: await storage.create(keyOf(name), document) }
      } catch (error) {
        if (!isFailure(error, 'already-exists')) throw error
        const found = await readKey(keyOf(name))
        if (found === undefined) throw new ShadowError('changed', `the certificate for ${name} was just removed`)
        return found
      }
    },

    /** Fails with `changed` if the record is out of date. */
    async write(record: CertificateRecord, document: CertificateDocument): Promise<CertificateRecord> {
      return { document, etag: await storage.update(keyOf(document.name), document, record.etag) }
    },

    remove: (name: string) => storage.remove(keyOf(name)),

    /** A certificate as it is stored. Fails with `bad-input` if it is not for this name and key, or not valid now. */
    sealed(name: string, chain: string, key: string): Current {
      const leaf = new X509Certificate(chain)
      const [from, until] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)]
      const isFor = leaf.checkHost(name.replace(/^\*/, 'any')) !== undefined
      if (!isFor || !leaf.checkPrivateKey(createPrivateKey(key)) || until <= clock.wall())
        throw new ShadowError('bad-input', `the authority gave a certificate that does not serve ${name}`)
      const [begins, ends] = [new Date(from).toISOString(), new Date(until).toISOString()]
      return { chain, sealedKey: seals.seal(key, contextOf(name)), from: begins, until: ends }
    },

    /** The private key, PEM. */
    keyIn: (name: string, { sealedKey }: Current): string => seals.open(sealedKey, contextOf(name)),
  }
}

/** Differs for each certificate that a name has had. */
export const versionOf = ({ chain }: Pick<Current, 'chain'>): string =>
  createHash('sha256').update(chain).digest('hex').slice(0, 32)

export function timesOf({ wantedAt, nextAt, current }: CertificateDocument): OrderTimes {
  return {
    wantedAt: Date.parse(wantedAt),
    nextAt: nextAt === undefined ? undefined : Date.parse(nextAt),
    validity: current && { from: Date.parse(current.from), until: Date.parse(current.until) },
  }
}

/** The document with its key encrypted by the newest key for secrets; undefined if it is so already. */
export function resealedCertificate(value: object, seals: Seals): object | undefined {
  const { name, current } = StoredSchema.parse(value)
  if (current === undefined || seals.isCurrent(current.sealedKey)) return undefined
  const key = seals.open(current.sealedKey, contextOf(name))
  return { ...value, current: { ...current, sealedKey: seals.seal(key, contextOf(name)) } }
}
