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

type Held<Name> = { readonly name: Name; readonly etag: string; readonly ours: boolean }
export type Claims = ReturnType<typeof domainClaims>
export type PortClaims = ReturnType<typeof portClaims>

type Options<Name> = {
  readonly storage: Storage
  readonly clock: Clock
  /** Whether the app exists and has the name. */
  readonly lists: (app: AppName, name: Name) => Promise<boolean>
}
/** What is claimed: its folder in the store, the failure where another app has it, the field of a definition, and how it is called. */
type Kind<Name> = {
  readonly folder: string
  readonly code: 'domain-taken' | 'port-taken'
  readonly field: string
  readonly say: (name: Name) => string
}

/** One hostname, one app: `domains/<hostname>.json` names the app that may list the hostname. */
export const domainClaims = (options: Options<Hostname>) =>
  claimsOf(options, { folder: 'domains', code: 'domain-taken', field: 'domains', say: hostname => hostname })

/** One TCP port of the fronts, one app: `tcp-ports/<port>.json`. */
export const portClaims = (options: Options<PortText>) =>
  claimsOf(options, { folder: 'tcp-ports', code: 'port-taken', field: 'tcp', say: port => `the port ${port}` })
/** The number of a port as text. */
export type PortText = `${number}`

/**
 * A claim is taken before the app lists the name. It counts only while the app lists the name, or may be about to. So the claim of a
 * master that died can be taken over.
 * A claim is given up by a conditional write of the known version, never by DELETE, which could remove another app's claim.
 */
function claimsOf<Name extends string>(
  { storage, clock, lists }: Options<Name>,
  { folder, code, field, say }: Kind<Name>,
) {
  const keyOf = (name: Name): string => `${folder}/${name}.json`
  const now = (): string => timestamp(clock)

  /** When this master first saw an undecided claim of another app, by `clock.now()`. */
  const watched = new Map<Name, { etag: string; at: number }>()

  const read = async (name: Name) => {
    const stored = await storage.get(keyOf(name))
    return stored && { ...ClaimSchema.parse(stored.value), etag: stored.etag }
  }

  /**
   * Whether the claim still excludes other apps. If its writer's wall clock is ahead of ours, we count from when we first saw the claim.
   */
  const counts = (name: Name, { etag, at }: { etag: string; at: string }): boolean => {
    if (watched.size >= MOST_WATCHED) watched.clear()
    if (watched.get(name)?.etag !== etag) watched.set(name, { etag, at: clock.now() })
    const seenForMs = clock.now() - (watched.get(name)?.at ?? clock.now())
    const counted = Math.max(seenForMs, clock.wall() - Date.parse(at)) < CLAIM_COUNTS_FOR_MS
    if (!counted) watched.delete(name)
    return counted
  }

  const takeOne = async (app: AppName, name: Name): Promise<Held<Name>> => {
    const until = performance.now() + DECIDED_WITHIN_MS
    for (;;) {
      const claim = await read(name)
      const other = claim?.app != null && claim.app !== app ? claim.app : undefined
      if (other !== undefined && (await lists(other, name)))
        throw new ShadowError(code, `${say(name)} belongs to the app ${other}`)
      if (claim !== undefined && other !== undefined && counts(name, claim)) {
        if (performance.now() > until)
          throw new ShadowError(code, `${say(name)} is being taken by the app ${other} right now`, {
            retryAfterMs: CLAIM_COUNTS_FOR_MS,
          })
        await wait(10 + Math.random() * 20)
        continue
      }
      const ours = { app, at: now() }
      try {
        const etag =
          claim === undefined
            ? await storage.create(keyOf(name), ours)
            : await storage.update(keyOf(name), ours, claim.etag)
        // If we only renewed a claim, another registration of the same app may rely on it: then we must not give it up.
        return { name, etag, ours: claim?.app !== app }
      } catch (error) {
        if (!isFailure(error, 'already-exists', 'changed')) throw error
      }
    }
  }

  const release = async (held: readonly Held<Name>[]): Promise<void> => {
    for (const { name, etag, ours } of held) {
      if (!ours) continue
      try {
        await storage.update(keyOf(name), { app: null, at: now() }, etag)
      } catch {
        // Another app has it already, or the store is away and the claim lapses by itself.
      }
    }
  }

  return {
    /** The app that may list the name. */
    async appOf(name: Name): Promise<AppName | undefined> {
      return (await read(name))?.app ?? undefined
    },

    /** Takes all of the claims or none. Fails with `domain-taken`, which names every domain that is taken. */
    async take(app: AppName, names: readonly Name[]): Promise<Taken> {
      const held: Held<Name>[] = []
      const faults: Fault[] = []
      const refusals: ShadowError[] = []
      const since = performance.now()
      try {
        // All masters take claims in the same order, so that two registrations never wait for each other.
        for (const name of names.toSorted()) {
          try {
            held.push(await takeOne(app, name))
          } catch (error) {
            if (!isFailure(error, code)) throw error
            refusals.push(error)
            faults.push({ field, message: error.message })
          }
        }
      } catch (error) {
        await release(held)
        throw error
      }
      if (refusals[0] !== undefined) {
        await release(held)
        throw new ShadowError(code, refusals.map(({ message }) => message).join('; '), {
          faults,
          retryAfterMs: refusals[0].details.retryAfterMs,
        })
      }
      return {
        release: () => release(held),
        stillGood() {
          if (performance.now() - since > COMMIT_WITHIN_MS)
            throw new ShadowError('storage-unreachable', `${storage.name} is too slow to register names safely`)
        },
      }
    },

    /** The current claims of an app that is about to drop these names. */
    async known(app: AppName, names: readonly Name[]): Promise<{ release: () => Promise<void> }> {
      const held: Held<Name>[] = []
      for (const name of names) {
        const claim = await read(name)
        if (claim?.app === app) held.push({ name, etag: claim.etag, ours: true })
      }
      return { release: () => release(held) }
    },
  }
}

type Taken = {
  /** Gives the taken claims up, if the app did not list the names. */
  release(): Promise<void>
  /** Called right before the app's document is written: fails if the claims are too old to rely on. */
  stillGood(): void
}
