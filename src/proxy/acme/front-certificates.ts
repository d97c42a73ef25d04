import { CHALLENGE_TOKEN } from '../../api/certificate-calls.ts'
import type { MasterClient } from '../../api/client.ts'
import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type Hostname, hostOf } from '../../model/hostname.ts'
import type { LookupLimit } from '../lookup-limit.ts'
import { certificateFolder, type Kept } from './certificate-folder.ts'

/** The certificates that masters order by ACME, as each thread of a front uses them. */
export interface OrderedCertificates {
  /** Gets the certificate for this name into the folder; a new one is ordered. False: there is none now. */
  want(servername: string): Promise<boolean>
  /** The answer to a challenge of the authority; undefined: no order of ours has this token. */
  challenge(token: string): Promise<string | undefined>
  /** Calls back when the folder has changed. */
  onChange(listener: () => void): void
}

type Options = {
  readonly master: MasterClient
  readonly folder: string
  /** Bounds the calls that strangers cause. */
  readonly lookups: Pick<LookupLimit, 'mayLookUp'>
  readonly clock: Clock
  readonly log: Log
}

/** How long a handshake waits for a certificate that is being ordered: less than a handshake may take. */
const WAITS_MS = 8_000
const ASKS_EVERY_MS = 500
/** For how long a name without a certificate is not asked for again. */
const NONE_FOR_MS = 5_000
const MOST_NONE = 10_000
const LOOKS_EVERY_MS = 10_000
/** The next certificate is asked for after a fiftieth of the lifetime of this one, or after an hour. */
const CHECKED_EACH = 50
const CHECKED_EVERY_MS = 3_600_000

/**
 * Keeps certificates in a folder of this front, so that they serve on after a restart while no master answers. A name without one is asked for
 * when a client connects to it. Those that are there are asked for again from time to time, so that a renewed one is soon served.
 */
export class FrontCertificates implements OrderedCertificates {
  readonly #options: Options
  readonly #folder: ReturnType<typeof certificateFolder>
  readonly #kept: Map<string, Kept>
  /** When each was last asked for, by `clock.now()`. */
  readonly #checkedAt = new Map<string, number>()
  readonly #wanted = new Map<Hostname, Promise<boolean>>()
  /** Until when a name counts as one without a certificate, by `clock.now()`. */
  readonly #none = new Map<Hostname, number>()
  readonly #listeners: (() => void)[] = []

  private constructor(options: Options, folder: ReturnType<typeof certificateFolder>, kept: Map<string, Kept>) {
    this.#options = options
    this.#folder = folder
    this.#kept = kept
  }

  /** Makes the folder if there is none, and reads what an earlier run has left in it. */
  static async open(options: Options): Promise<FrontCertificates> {
    const folder = certificateFolder(options.folder)
    return new FrontCertificates(options, folder, await folder.read())
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  // No await between the looks and the entry in `#wanted`: many clients that connect at once cause one order.
  want(servername: string): Promise<boolean> {
    const { clock, lookups } = this.#options
    const hostname = hostOf(servername)
    if (hostname === undefined) return NOT_THERE
    const running = this.#wanted.get(hostname)
    if (running !== undefined) return running
    if ((this.#none.get(hostname) ?? 0) > clock.now() || !lookups.mayLookUp(() => false)) return NOT_THERE
    const asked = this.#askUntilThere(hostname).finally(() => this.#wanted.delete(hostname))
    this.#wanted.set(hostname, asked)
    return asked
  }

  async challenge(token: string): Promise<string | undefined> {
    const { master, lookups, log } = this.#options
    if (!CHALLENGE_TOKEN.test(token) || !lookups.mayLookUp(() => false)) return undefined
    try {
      return (await master.call('getChallenge', { params: { challenge: token } })).keyAuthorization
    } catch (cause) {
      if (!isFailure(cause, 'not-found')) log.warn('challenge not asked for', { cause })
      return undefined // an app may order certificates by itself
    }
  }

  /** Asks for renewed certificates until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    while (!signal.aborted) {
      for (const [name, kept] of this.#kept) {
        if (!this.#isDue(name, kept)) continue
        await this.#check(name, kept).catch(cause =>
          log.debug('renewed certificate not asked for', { certificate: name, cause }),
        )
      }
      await pause(clock, LOOKS_EVERY_MS, signal).catch(() => undefined) // an abort ends the loop
    }
  }

  #isDue(name: string, { from, until }: Kept): boolean {
    const { clock } = this.#options
    const every = Math.min(CHECKED_EVERY_MS, (until - from) / CHECKED_EACH)
    return clock.now() - (this.#checkedAt.get(name) ?? Number.NEGATIVE_INFINITY) >= every
  }

  async #check(name: string, { version, until }: Kept): Promise<void> {
    const { clock, log } = this.#options
    const hostname = name.replace(/^\*/, ANY) as Hostname
    const state = await this.#ask(hostname, version)
    this.#checkedAt.set(name, clock.now())
    // No app has the name any more. Until it expires, the certificate harms nobody.
    if (state !== 'none' || until > clock.wall()) return
    this.#kept.delete(name)
    await this.#folder.remove(name)
    log.info('certificate removed: it has expired, and no app has its name', { certificate: name })
    this.#changed()
  }

  async #askUntilThere(hostname: Hostname): Promise<boolean> {
    const { clock, log } = this.#options
    const began = clock.now()
    const never = new AbortController().signal
    try {
      for (;;) {
        const state = await this.#ask(hostname)
        if (state === 'ready') return true
        if (state !== 'ordered') break
        if (clock.now() - began + ASKS_EVERY_MS > WAITS_MS) return false // the next client asks again
        await pause(clock, ASKS_EVERY_MS, never)
      }
    } catch (cause) {
      log.debug('certificate not asked for', { hostname, cause })
    }
    if (this.#none.size >= MOST_NONE) this.#none.clear()
    this.#none.set(hostname, clock.now() + NONE_FOR_MS)
    return false
  }

  /** Asks a master, and keeps the certificate that it gives. */
  async #ask(hostname: Hostname, known?: string) {
    const { master, clock, log } = this.#options
    const { state, problem, certificate } = await master.call('wantCertificate', {
      params: { hostname },
      body: known === undefined || known === '' ? {} : { known },
    })
    if (problem !== undefined) log.warn('certificate not ordered', { hostname, problem })
    if (certificate === undefined) return state
    const kept = await this.#folder.write(certificate)
    this.#kept.set(certificate.name, kept)
    this.#checkedAt.set(certificate.name, clock.now())
    log.info('certificate taken over', { certificate: certificate.name, until: new Date(kept.until).toISOString() })
    this.#changed()
    return state
  }

  #changed(): void {
    for (const listener of this.#listeners) listener()
  }
}

const NOT_THERE = Promise.resolve(false)
/** A hostname that a wildcard covers. */
const ANY = 'any'
