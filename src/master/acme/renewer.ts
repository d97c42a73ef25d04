import { pause } from '../../lib/abort.ts'
import type { Clock } from '../../lib/clock.ts'
import { isFailure } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { newPrivateKey } from '../../lib/tls/x509.ts'
import { dueAt, retryAfter } from '../../model/ordered-certificate.ts'
import type { MasterLease } from '../master-lease.ts'
import { type Authority, OrderError, type Solver } from './authority.ts'
import { type CertificateRecord, type CertificateRecords, INTERRUPTED, timesOf } from './certificates.ts'

type Parts = {
  readonly authority: Authority
  readonly certificates: CertificateRecords
  readonly solver: (signal: AbortSignal) => Solver
  readonly lease: MasterLease
  /** Removes old challenges. */
  readonly tidy: () => Promise<void>
  /** Names that are ordered by DNS. They need no app. */
  readonly byDns: readonly string[]
  /** Whether an app has this hostname. */
  readonly isUsed: (name: string) => Promise<boolean>
  readonly newPerHour: number
  /** Tells the other masters that this certificate has changed. */
  readonly announce: (name: string) => void
  readonly random?: () => number
  readonly clock: Clock
  readonly log: Log
}

const LOOKS_EVERY_MS = 60_000
const AT_ONCE = 4
const HOUR_MS = 3_600_000
const LEASE_KEPT_EVERY_MS = 20_000

/**
 * Orders certificates that are wanted, and renews them. Every master runs one; the one that has the lease works. A certificate stays stored and
 * served until the next one has been checked and stored in its place.
 */
export class Renewer {
  readonly #parts: Parts & { readonly random: () => number }
  #nudged = Promise.withResolvers<void>()

  constructor(parts: Parts) {
    this.#parts = { random: Math.random, ...parts }
  }

  /** A certificate may be wanted that was not wanted before. */
  changed(): void {
    this.#nudged.resolve()
  }

  /** Works until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log, lease } = this.#parts
    let isFirst = true
    while (!signal.aborted) {
      this.#nudged = Promise.withResolvers()
      try {
        if (isFirst) for (const name of this.#parts.byDns) await this.#parts.certificates.want(name)
        isFirst = false
        await this.look(signal)
      } catch (cause) {
        log.warn('certificates not looked at; tried again soon', { cause })
      }
      using waiting = abortable(signal)
      await Promise.race([pause(clock, LOOKS_EVERY_MS, waiting.signal).catch(() => undefined), this.#nudged.promise])
    }
    await lease.release().catch(cause => log.debug('lease of the renewer not released', { cause }))
  }

  /** Orders all certificates that are due, those that expire first before the others. */
  async look(signal: AbortSignal): Promise<void> {
    const { certificates, clock, lease } = this.#parts
    const isDue = ({ document }: CertificateRecord): boolean => dueAt(timesOf(document)) <= clock.wall()
    if (!(await certificates.all()).some(isDue)) return
    if (!(await lease.hold())) return
    await this.#parts.tidy()
    // Read again: another master may have ordered them before this one got the lease.
    const all = await certificates.all()
    const due = all.filter(isDue).sort((a, b) => untilOf(a) - untilOf(b))
    const fresh = new FirstOrders(all, this.#parts)
    let isAway = false
    using _kept = this.#keepLease(signal)
    await mapAtMost(AT_ONCE, due, async record => {
      if (signal.aborted || isAway || !(await lease.hold())) return
      try {
        if (await this.#isUnused(record)) return
        const problem = record.document.current === undefined ? fresh.take(record) : undefined
        if (problem !== undefined) return await this.#postpone(record, problem)
        isAway ||= (await this.#order(record, signal)) === 'away'
      } catch (cause) {
        if (isFailure(cause, 'changed')) return // another master has just written it
        throw cause
      }
    })
  }

  /** Renews the lease from time to time, since an order may take minutes. */
  #keepLease(signal: AbortSignal): Disposable {
    const { lease, clock, log } = this.#parts
    const working = abortable(signal)
    const keep = async (): Promise<void> => {
      for (;;) {
        await pause(clock, LEASE_KEPT_EVERY_MS, working.signal)
        await lease.hold().catch(cause => log.warn('lease of the renewer not renewed', { cause }))
      }
    }
    keep().catch(() => undefined) // it ends with the work
    return working
  }

  /** Whether no app has the name any more. Its certificate is not renewed, and is removed when it has expired. */
  async #isUnused({ document: { name, current } }: CertificateRecord): Promise<boolean> {
    const { byDns, isUsed, certificates, clock, log } = this.#parts
    if (byDns.includes(name) || (await isUsed(name))) return false
    if (current === undefined || Date.parse(current.until) <= clock.wall()) {
      await certificates.remove(name)
      log.info('certificate forgotten: no app has its name', { certificate: name })
    }
    return true
  }

  async #postpone(record: CertificateRecord, { problem, nextAt }: Postponed): Promise<void> {
    const { certificates, log } = this.#parts
    const { name } = record.document
    log.warn('certificate not ordered yet', { certificate: name, problem })
    await certificates.write(record, { ...record.document, problem, nextAt: new Date(nextAt).toISOString() })
    this.#parts.announce(name)
  }

  async #order(record: CertificateRecord, signal: AbortSignal): Promise<'done' | 'failed' | 'away'> {
    const { authority, certificates, byDns, solver, clock, log } = this.#parts
    const { name, failures, current } = record.document
    const began = clock.now()
    const at = (ms: number): string => new Date(clock.wall() + ms).toISOString()
    const left = current && Date.parse(current.until) - clock.wall()
    const again = retryAfter(failures + 1, this.#parts.random(), left)
    // Before the order: a master that dies again and again in the middle of it must not use up what the authority allows.
    const tried = await certificates.write(record, {
      ...record.document,
      orderedAt: record.document.orderedAt ?? at(0),
      failures: failures + 1,
      nextAt: at(again),
      problem: INTERRUPTED,
    })
    const key = newPrivateKey()
    const kind = byDns.includes(name) ? 'dns-01' : 'http-01'
    log.debug('certificate is being ordered', { certificate: name, kind })
    try {
      const chain = await authority.order({ name, kind, key, solver: solver(signal) })
      const sealed = certificates.sealed(name, chain, key)
      const { problem: _, ...rest } = tried.document
      // Whatever the clocks of this master and of the authority say, it is not renewed again and again.
      const nextAt = at((Date.parse(sealed.until) - Date.parse(sealed.from)) / 3)
      await certificates.write(tried, { ...rest, failures: 0, nextAt, current: sealed })
      this.#parts.announce(name)
      log.info('certificate ordered', {
        certificate: name,
        kind,
        ms: clock.now() - began,
        until: sealed.until,
        before: current?.until,
      })
      return 'done'
    } catch (cause) {
      if (isFailure(cause, 'changed', 'storage-unreachable')) throw cause
      const problem = (cause as Error).message
      const { retryAfterMs = 0, isAway = false } = cause instanceof OrderError ? cause : {}
      const next = { ...tried.document, problem, nextAt: at(Math.max(again, retryAfterMs)) }
      log.warn('certificate not ordered', {
        certificate: name,
        kind,
        problem,
        until: current?.until,
        nextAt: next.nextAt,
        cause,
      })
      await certificates.write(tried, next)
      this.#parts.announce(name)
      return isAway ? 'away' : 'failed'
    }
  }
}

type Postponed = { readonly problem: string; readonly nextAt: number }

/** Counts first orders by their documents, so that all masters count together and a restart forgets none. */
class FirstOrders {
  readonly #times: number[]
  readonly #most: number
  readonly #clock: Clock

  constructor(all: readonly CertificateRecord[], { newPerHour, clock }: { newPerHour: number; clock: Clock }) {
    this.#most = newPerHour
    this.#clock = clock
    this.#times = all
      .flatMap(({ document: { orderedAt } }) => (orderedAt === undefined ? [] : Date.parse(orderedAt)))
      .filter(at => at > clock.wall() - HOUR_MS)
      .sort((a, b) => a - b)
  }

  /** Counts the first order of a certificate; gives why it must wait, and until when, if there were too many. */
  take({ document }: CertificateRecord): Postponed | undefined {
    if (document.orderedAt !== undefined) return undefined
    if (this.#times.length < this.#most) {
      this.#times.push(this.#clock.wall())
      return undefined
    }
    const oldest = this.#times[this.#times.length - this.#most] ?? this.#clock.wall()
    const problem = `${this.#most} new certificates were ordered within an hour, and may not be more (SHADOW_ACME_NEW_PER_HOUR)`
    return { problem, nextAt: oldest + HOUR_MS }
  }
}

const untilOf = ({ document: { current } }: CertificateRecord): number =>
  current === undefined ? Number.POSITIVE_INFINITY : Date.parse(current.until)

/** A signal that also aborts when it is disposed. */
function abortable(signal: AbortSignal): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController()
  return {
    signal: AbortSignal.any([signal, controller.signal]),
    [Symbol.dispose]: () => controller.abort(),
  }
}
