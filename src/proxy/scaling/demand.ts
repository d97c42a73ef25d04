import { concurrencyOf, SCALE_DEFAULTS, type Scale } from '../../model/scale.ts'

/** The load of an app, as a front sees it. */
export type Load = {
  /** Requests in flight of all its instances, and of all fronts. */
  readonly inFlight: number
  /** Requests that wait at this front, since no instance may be given more. */
  readonly held: number
  /** How many instances are ready. */
  readonly ready: number
  /** The mean share of their processors that they use; undefined if unknown. */
  readonly cpu: number | undefined
}

export type Wanted = {
  /** So many of the instances that are ready get requests. It falls with a delay. */
  readonly count: number
  /** So many are needed now: fewer that are ready are too few. At most `count`. */
  readonly needed: number
  /** Why so many are needed, for people. */
  readonly why: string
}

type Rule = { readonly count: number; readonly why: string }

/** A shorter rise of the load starts no further instance, as long as no request has to wait for one. */
const SOFT_OVER_MS = 3_000
const CPU_OVER_MS = 10_000
/** The number of instances falls when the load has been lower for this long. @internal */
export const FALLS_AFTER_MS = 30_000

type Sample = Load & { readonly from: number; readonly to: number }

/**
 * How many instances an app needs, by its load over the last seconds. Four rules each give a number, and the largest one counts:
 *
 * - `min`;
 * - requests that are in flight and that wait, so that no instance has more than the hard limit: at once;
 * - requests in flight on average over SOFT_OVER_MS, so that no instance has more than the soft limit;
 * - the use of processors on average over CPU_OVER_MS.
 *
 * An app in use needs one instance at least, so scaling to zero is the lower end of the same rules. The number rises at once, and falls to the
 * largest one of the last FALLS_AFTER_MS: so it does not flap. An instance that falls asleep meanwhile is not started again for that.
 */
export class Demand {
  readonly #samples: Sample[] = []
  readonly #wanted: { readonly at: number; readonly count: number }[] = []

  /** Takes the load of now, by the clock; returns how many instances there should be. */
  next(scale: Scale, load: Load, now: number): Wanted {
    const last = this.#samples.at(-1)
    this.#samples.push({ ...load, from: last?.to ?? now, to: now })
    while ((this.#samples[0]?.to ?? now) < now - CPU_OVER_MS) this.#samples.shift()
    const rules = this.#rules(scale, load, now)
    const largest = rules.reduce((most, rule) => (rule.count > most.count ? rule : most))
    const count = Math.min(scale.max, largest.count)
    while ((this.#wanted[0]?.at ?? now) <= now - FALLS_AFTER_MS) this.#wanted.shift()
    while ((this.#wanted.at(-1)?.count ?? Number.POSITIVE_INFINITY) <= count) this.#wanted.pop()
    this.#wanted.push({ at: now, count })
    const steady = Math.min(scale.max, this.#wanted[0]?.count ?? count)
    return { count: steady, needed: count, why: largest.why }
  }

  #rules(scale: Scale, { inFlight, held, ready }: Load, now: number): readonly Rule[] {
    const { soft, hard } = concurrencyOf(scale)
    const all = inFlight + held
    const average = this.#average(now, SOFT_OVER_MS, one => one.inFlight + one.held)
    const busy = (scale.cpu ?? SCALE_DEFAULTS.cpu) / 100
    // An idle app that computes for itself gains nothing by another instance.
    const cpu = this.#average(now, CPU_OVER_MS, one => (one.inFlight > 0 ? (one.cpu ?? 0) : 0))
    return [
      { count: scale.min, why: `at least ${scale.min} kept awake (--min)` },
      { count: all > 0 ? 1 : 0, why: 'it is in use' },
      { count: Math.ceil(all / hard), why: `${all} requests at a time, ${hard} at most for each instance` },
      {
        count: atLeast(average / soft),
        why: `${Math.round(average)} requests at a time on average, ${soft} wanted for each instance`,
      },
      {
        count: atLeast((ready * cpu) / busy),
        why: `${Math.round(100 * cpu)} % CPU on average, ${Math.round(100 * busy)} % wanted`,
      },
    ]
  }

  /** The mean over the time until now. The time before the first sample counts as 0. */
  #average(now: number, overMs: number, of: (load: Load) => number): number {
    const since = now - overMs
    const sum = this.#samples.reduce(
      (total, one) => total + of(one) * Math.max(0, one.to - Math.max(since, one.from)),
      0,
    )
    return sum / overMs
  }
}

// Sums of fractions may be a little too large.
const atLeast = (instances: number): number => Math.ceil(instances - 1e-6)
