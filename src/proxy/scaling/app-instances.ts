import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Gauge, Gauges } from '../../lib/shared/gauges.ts'
import type { Node } from '../../model/app.ts'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import { HELD_WITHIN } from '../../model/intervals.ts'
import type { Route } from '../../model/route.ts'
import { concurrencyOf, SCALE_DEFAULTS, type Scale } from '../../model/scale.ts'
import { usablePinned } from '../node-choice.ts'
import type { Nodes } from '../nodes.ts'
import type { Pins } from '../pins.ts'
import { HeldRequests } from './held-requests.ts'
import { gaugeOf, type Target, type Targets } from './targets.ts'

export type Parts = {
  readonly gauges: Gauges
  readonly targets: Targets
  readonly nodes: Pick<Nodes, 'get'>
  readonly pins: Pick<Pins, 'get'>
  readonly clock: Clock
}

/** The instance for a request, on its node. `leave` gives the request's place at the instance back. */
export type Chosen = { readonly instance: InstanceId; readonly node: Node; leave(): void }

/** Nodes and instances that have refused one request, as `gaugeOf.instance`. */
export type Refused = Pick<ReadonlySet<string>, 'has' | 'size'>

/** No instance is ready, and no node is known where the plain one can be woken at once. */
const COLD = 'cold'

const USED_TOLD_EVERY_MS = 5_000

/** The instances of one app as one thread of a front uses them: it chooses one for each request, and holds requests while all have their hard limit. */
export class AppInstances {
  readonly #parts: Parts
  readonly #all: Gauge
  readonly #held: HeldRequests
  readonly #gauges = new Map<string, Gauge>()
  /** Instances that get no request of this thread for a while: they were full, or did not serve. */
  readonly #avoided = new Map<string, number>()
  #route: Route
  #usedToldAt = Number.NEGATIVE_INFINITY
  #turn = 0

  constructor(route: Route, parts: Parts) {
    this.#route = route
    this.#parts = parts
    this.#all = parts.gauges.of(gaugeOf.app(route.name))
    this.#held = new HeldRequests({
      clock: parts.clock,
      gauge: parts.gauges.of(gaugeOf.held(route.name)),
      withinMs: HELD_WITHIN,
      onHeld: () => parts.targets.held(route.name),
      tooLate: () => this.full(),
    })
  }

  /** The app is used by this route. */
  use(route: Route): void {
    const now = this.#parts.clock.now()
    if (route === this.#route && now - this.#usedToldAt < USED_TOLD_EVERY_MS) return
    this.#route = route
    this.#usedToldAt = now
    this.#parts.targets.used(route)
  }

  /**
   * The instance for a request, if there is one at once. `counts`: false for a request that may not wake the app. `release`: the one that its
   * session began with.
   */
  now(refused: Refused, counts: boolean, release?: number): Chosen | undefined {
    if (!counts) return this.#uncounted(refused, release)
    if (this.#held.size > 0) return undefined
    const taken = this.#take(refused, release)
    return taken === COLD ? undefined : taken
  }

  /**
   * Waits for an instance that may be given the request. If none is ready, it is the plain one on the node that `wakeOn` finds. Fails with
   * `queue-full` after HELD_WITHIN.
   */
  async wait(
    refused: Refused,
    counts: boolean,
    wakeOn: () => Promise<Node>,
    signal: AbortSignal,
    release?: number,
  ): Promise<Chosen> {
    const chosen = counts ? await this.#turnOf(refused, signal, release) : (this.#uncounted(refused, release) ?? COLD)
    if (chosen !== COLD) return chosen
    const node = await wakeOn()
    const plain = instanceId(this.#route.name)
    if (!counts) return { instance: plain, node, leave: nothing }
    const gauge = this.#gaugeOf(plain, node)
    const there = () => (gauge.take(this.#hard) ? this.#counted(plain, node, gauge) : undefined)
    const ready = () => {
      const taken = this.#take(refused, release)
      return taken === COLD ? undefined : taken
    }
    return there() ?? (await this.#held.wait(() => ready() ?? there(), signal, refused.size > 0))
  }

  /** The instance did not serve a request, or had its hard limit: it gets none of this thread until its node was asked how it is. */
  avoid(instance: InstanceId, node: Node, forMs: number): void {
    const { clock, targets } = this.#parts
    this.#avoided.set(gaugeOf.instance(instance, node.name), clock.now() + forMs)
    targets.doubt(this.#route.name)
  }

  /** Whether an instance is ready that has not refused this request. */
  hasReady(refused: Refused): boolean {
    return this.#usable(refused).length > 0
  }

  /** The targets may have changed. */
  changed(): void {
    this.#held.admit()
  }

  /** The error for a request that has waited in vain. */
  full(): ShadowError {
    const { name } = this.#route
    const { targets, problem } = this.#parts.targets.of(name)
    const { max } = this.#scale
    const why =
      problem !== undefined
        ? `and no further one starts: ${problem}`
        : targets.length >= max
          ? `and it may have no more than ${max}`
          : 'and no further one was ready in time'
    return new ShadowError(
      'queue-full',
      `${name} has as many requests in flight as its instances may have, ${this.#hard} each, ${why}`,
      { retryAfterMs: 2_000, hint: `shadow scale ${name} --max, --concurrency` },
    )
  }

  #turnOf(
    refused: Refused,
    signal: AbortSignal,
    release: number | undefined,
  ): Promise<Chosen | typeof COLD> | Chosen | typeof COLD {
    const taken = this.#held.size === 0 ? this.#take(refused, release) : undefined
    const mayBePassed = refused.size > 0 || release !== undefined
    return taken ?? this.#held.wait(() => this.#take(refused, release), signal, mayBePassed)
  }

  get #scale(): Scale {
    return this.#route.scale ?? SCALE_DEFAULTS
  }

  get #hard(): number {
    return concurrencyOf(this.#scale).hard
  }

  /** Takes a place at the instance with the fewest requests in flight; undefined if all have their hard limit. */
  #take(refused: Refused, release: number | undefined): Chosen | typeof COLD | undefined {
    const usable = withRelease(this.#usable(refused), release)
    if (usable.length === 0) return this.#takePlain(refused)
    const hard = this.#hard
    let least = hard
    let best: (typeof usable)[number] | undefined
    // Equal ones take turns.
    this.#turn = (this.#turn + 1) % usable.length
    for (const one of [...usable.slice(this.#turn), ...usable.slice(0, this.#turn)]) {
      const load = this.#gaugeOf(one.target.instance, one.node).used + one.target.others
      if (load >= least || this.#isAvoided(one.target)) continue
      least = load
      best = one
    }
    if (best === undefined) return undefined
    const { target, node } = best
    const gauge = this.#gaugeOf(target.instance, node)
    return gauge.take(hard - target.others) ? this.#counted(target.instance, node, gauge) : undefined
  }

  #takePlain(refused: Refused): Chosen | typeof COLD | undefined {
    const plain = instanceId(this.#route.name)
    const node = usablePinned(this.#parts, this.#route)
    if (node === undefined || refused.has(gaugeOf.instance(plain, node.name))) return COLD
    const gauge = this.#gaugeOf(plain, node)
    return gauge.take(this.#hard) ? this.#counted(plain, node, gauge) : undefined
  }

  #uncounted(refused: Refused, release: number | undefined): Chosen | undefined {
    const [first] = withRelease(this.#usable(refused), release)
    if (first !== undefined) return { instance: first.target.instance, node: first.node, leave: nothing }
    const node = usablePinned(this.#parts, this.#route)
    return node && { instance: instanceId(this.#route.name), node, leave: nothing }
  }

  #counted(instance: InstanceId, node: Node, gauge: Gauge): Chosen {
    this.#all.force()
    const leave = (): void => {
      gauge.give()
      this.#all.give()
      if (this.#held.size > 0) this.#held.admit()
    }
    return { instance, node, leave }
  }

  #usable(refused: Refused): { target: Target; node: Node }[] {
    const { targets, nodes } = this.#parts
    return targets.of(this.#route.name).targets.flatMap(target => {
      const known = nodes.get(target.node)
      if (known === undefined || !known.healthy || known.node.cordon?.drain !== undefined) return []
      if (refused.size > 0 && refused.has(gaugeOf.instance(target.instance, target.node))) return []
      return { target, node: known.node }
    })
  }

  #isAvoided({ instance, node }: Target): boolean {
    if (this.#avoided.size === 0) return false
    const key = gaugeOf.instance(instance, node)
    const until = this.#avoided.get(key)
    if (until === undefined || until > this.#parts.clock.now()) return until !== undefined
    this.#avoided.delete(key)
    return false
  }

  #gaugeOf(instance: InstanceId, node: Node): Gauge {
    const key = gaugeOf.instance(instance, node.name)
    let gauge = this.#gauges.get(key)
    if (gauge === undefined) {
      gauge = this.#parts.gauges.of(key)
      this.#gauges.set(key, gauge)
    }
    return gauge
  }
}

/** Those that still run the release that a session began with; all of them if none does. */
function withRelease<T extends { readonly target: Target }>(usable: T[], release: number | undefined): T[] {
  if (release === undefined) return usable
  const running = usable.filter(({ target }) => target.formers?.includes(release))
  return running.length > 0 ? running : usable
}

const nothing = (): void => undefined
