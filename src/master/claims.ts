import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { AppNameSchema } from '../api/schemas.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { type Fault, isFailure, ShadowError } from '../lib/errors.ts'
import type { Hostname } from '../model/hostname.ts'
import type { AppName } from '../model/names.ts'
import type { Storage } from './storage/storage.ts'

/** For how long a claim excludes other apps before its app lists the domain. */
const CLAIM_COUNTS_FOR_MS = 15_000
/** A writer that takes longer than this must not rely on its claims any more. */
const COMMIT_WITHIN_MS = 5_000
/** For how long we watch an undecided claim: the other registration has nearly always ended by then. */
const DECIDED_WITHIN_MS = 2_000
const MOST_WATCHED = 10_000

const ClaimSchema = z.object({ app: AppNameSchema.nullable(), at: z.iso.datetime() })

type Held = { readonly hostname: Hostname; readonly etag: string; readonly ours: boolean }
export type Claims = ReturnType<typeof domainClaims>

/**
 * One hostname, one app: `domains/<hostname>.json` names the app that may list the hostname.
 * A claim is taken before the app lists the domain. It counts only while the app lists the domain, or may be about to. So the claim of a
 * master that died can be taken over.
 * A claim is given up by a conditional write of the known version, never by DELETE, which could remove another app's claim.
 */
export function domainClaims({
  storage,
  clock,
  lists,
}: {
  storage: Storage
  clock: Clock
  /** Whether the app exists and has the domain. */
  lists: (app: AppName, hostname: Hostname) => Promise<boolean>
}) {
  const keyOf = (hostname: Hostname): string => `domains/${hostname}.json`
  const now = (): string => timestamp(clock)

  /** When this master first saw an undecided claim of another app, by `clock.now()`. */
  const watched = new Map<Hostname, { etag: string; at: number }>()

  const read = async (hostname: Hostname) => {
    const stored = await storage.get(keyOf(hostname))
    return stored && { ...ClaimSchema.parse(stored.value), etag: stored.etag }
  }

  /**
   * Whether the claim still excludes other apps. If its writer's wall clock is ahead of ours, we count from when we first saw the claim.
   */
  const counts = (hostname: Hostname, { etag, at }: { etag: string; at: string }): boolean => {
    if (watched.size >= MOST_WATCHED) watched.clear()
    if (watched.get(hostname)?.etag !== etag) watched.set(hostname, { etag, at: clock.now() })
    const seenForMs = clock.now() - (watched.get(hostname)?.at ?? clock.now())
    const counted = Math.max(seenForMs, clock.wall() - Date.parse(at)) < CLAIM_COUNTS_FOR_MS
    if (!counted) watched.delete(hostname)
    return counted
  }

  const takeOne = async (app: AppName, hostname: Hostname): Promise<Held> => {
    const until = performance.now() + DECIDED_WITHIN_MS
    for (;;) {
      const claim = await read(hostname)
      const other = claim?.app != null && claim.app !== app ? claim.app : undefined
      if (other !== undefined && (await lists(other, hostname)))
        throw new ShadowError('domain-taken', `${hostname} belongs to the app ${other}`)
      if (claim !== undefined && other !== undefined && counts(hostname, claim)) {
        if (performance.now() > until)
          throw new ShadowError('domain-taken', `${hostname} is being taken by the app ${other} right now`, {
            retryAfterMs: CLAIM_COUNTS_FOR_MS,
          })
        await wait(10 + Math.random() * 20)
        continue
      }
      const ours = { app, at: now() }
      try {
        const etag =
          claim === undefined
            ? await storage.create(keyOf(hostname), ours)
            : await storage.update(keyOf(hostname), ours, claim.etag)
        // If we only renewed a claim, another registration of the same app may rely on it: then we must not give it up.
        return { hostname, etag, ours: claim?.app !== app }
      } catch (error) {
        if (!isFailure(error, 'already-exists', 'changed')) throw error
      }
    }
  }

  const release = async (held: readonly Held[]): Promise<void> => {
    for (const { hostname, etag, ours } of held) {
      if (!ours) continue
      try {
        await storage.update(keyOf(hostname), { app: null, at: now() }, etag)
      } catch {
        // Another app has it already, or the store is away and the claim lapses by itself.
      }
    }
  }

  return {
    /** The app that may list the hostname. */
    async appOf(hostname: Hostname): Promise<AppName | undefined> {
      return (await read(hostname))?.app ?? undefined
    },

    /** Takes all of the claims or none. Fails with `domain-taken`, which names every domain that is taken. */
    async take(app: AppName, domains: readonly Hostname[]): Promise<Taken> {
      const held: Held[] = []
      const faults: Fault[] = []
      const refusals: ShadowError[] = []
      const since = performance.now()
      try {
        // All masters take claims in the same order, so that two registrations never wait for each other.
        for (const hostname of domains.toSorted()) {
          try {
            held.push(await takeOne(app, hostname))
          } catch (error) {
            if (!isFailure(error, 'domain-taken')) throw error
            refusals.push(error)
            faults.push({ field: 'domains', message: error.message })
          }
        }
      } catch (error) {
        await release(held)
        throw error
      }
      if (refusals[0] !== undefined) {
        await release(held)
        throw new ShadowError('domain-taken', refusals.map(({ message }) => message).join('; '), {
          faults,
          retryAfterMs: refusals[0].details.retryAfterMs,
        })
      }
      return {
        release: () => release(held),
        stillGood() {
          if (performance.now() - since > COMMIT_WITHIN_MS)
            throw new ShadowError('storage-unreachable', `${storage.name} is too slow to register domains safely`)
        },
      }
    },

    /** The current claims of an app that is about to drop these domains. */
    async known(app: AppName, domains: readonly Hostname[]): Promise<{ release: () => Promise<void> }> {
      const held: Held[] = []
      for (const hostname of domains) {
        const claim = await read(hostname)
        if (claim?.app === app) held.push({ hostname, etag: claim.etag, ours: true })
      }
      return { release: () => release(held) }
    },
  }
}

type Taken = {
  /** Gives the taken claims up, if the app did not list the domains. */
  release(): Promise<void>
  /** Called right before the app's document is written: fails if the claims are too old to rely on. */
  stillGood(): void
}
