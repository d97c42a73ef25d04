import type { Clock } from '../../lib/clock.ts'
import { asShadowError, isFailure, type ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { type InstanceId, logFields } from '../../model/instance-id.ts'
import { KEPT_AGAIN_EVERY, KEPT_FOR, MASTER_CALL_WITHIN } from '../../model/intervals.ts'
import type { NodeName } from '../../model/names.ts'
import { REFUSES_WAKE } from '../../model/placement.ts'
import type { Route } from '../../model/route.ts'
import type { InstanceOnNode, NodeConnector } from '../node-connector.ts'

type Options = {
  readonly connector: Pick<NodeConnector, 'keep'>
  readonly clock: Clock
  readonly log: Log
  /** Called when an instance is ready, or did not get ready. */
  readonly onEnd: (on: InstanceOnNode, problem: ShadowError | undefined) => void
}

type Start = { readonly node: NodeName; readonly abort: AbortController }
type Failure = { readonly problem: ShadowError; readonly count: number; readonly retryAt: number }

/** How long a node that could not take an instance is not asked again. */
const NODE_AGAIN_AFTER_MS = 10_000
const FIRST_RETRY_MS = 2_000
const LONGEST_RETRY_MS = 60_000

/** Makes instances of one app ready, and keeps them awake. */
export class Starts {
  readonly #options: Options
  readonly #underWay = new Map<InstanceId, Start>()
  readonly #failures = new Map<InstanceId, Failure>()
  readonly #refusedBy = new Map<NodeName, number>()
  #refusal: ShadowError | undefined
  readonly #keptAt = new Map<InstanceId, number>()

  constructor(options: Options) {
    this.#options = options
  }

  /** The instances that are being made ready, with their nodes. */
  get underWay(): ReadonlyMap<InstanceId, Pick<Start, 'node'>> {
    return this.#underWay
  }

  /** Whether it may be started now: it is not under way, and does not wait after a failure. */
  mayStart(instance: InstanceId): boolean {
    const retryAt = this.#failures.get(instance)?.retryAt ?? 0
    return !this.#underWay.has(instance) && retryAt <= this.#options.clock.now()
  }

  /** The nodes that could not take an instance a short time ago. */
  get refusing(): ReadonlySet<NodeName> {
    const now = this.#options.clock.now()
    for (const [node, until] of this.#refusedBy) if (until <= now) this.#refusedBy.delete(node)
    if (this.#refusedBy.size === 0) this.#refusal = undefined
    return new Set(this.#refusedBy.keys())
  }

  /** Why an instance is not ready that should be, and is waited with. */
  get problem(): ShadowError | undefined {
    const now = this.#options.clock.now()
    return [...this.#failures.values()].findLast(({ retryAt }) => retryAt > now)?.problem
  }

  /** Records that there is no node for the instance. */
  failed(instance: InstanceId, why: ShadowError): void {
    const { clock } = this.#options
    // That nodes have refused says less than why they did.
    const problem = why.code === 'no-node' ? (this.#refusal ?? why) : why
    const count = (this.#failures.get(instance)?.count ?? 0) + 1
    // To look for a node costs nothing, and one may come at any time.
    const waitMs =
      why.code === 'no-node' ? FIRST_RETRY_MS : Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (count - 1))
    this.#failures.set(instance, { problem, count, retryAt: clock.now() + waitMs })
  }

  /** Makes the instance ready on the node; `onEnd` is told of the end. */
  start(route: Route, on: InstanceOnNode, why: string): void {
    const { instance, node } = on
    const start = { node: node.name, abort: new AbortController() }
    this.#underWay.set(instance, start)
    this.#options.log.info('instance starts', { ...logFields(instance), node: node.name, why })
    void this.#start(route, on, why, start)
  }

  async #start(route: Route, on: InstanceOnNode, why: string, { abort }: Start): Promise<void> {
    const { connector, clock, log, onEnd } = this.#options
    const { instance, node } = on
    let problem: ShadowError | undefined
    try {
      await connector.keep(route, on, { forMs: KEPT_FOR, why }, abort.signal)
      if (abort.signal.aborted) return
      this.#failures.delete(instance)
      this.#keptAt.set(instance, clock.now())
    } catch (cause) {
      if (abort.signal.aborted) return
      problem = asShadowError(cause)
      log.warn('instance not started', { ...logFields(instance), node: node.name, code: problem.code, cause })
      if (isFailure(problem, ...REFUSES_WAKE, 'node-unreachable', 'shutting-down', 'not-found')) {
        this.#refusedBy.set(node.name, clock.now() + NODE_AGAIN_AFTER_MS)
        this.#refusal = problem
      } else this.failed(instance, problem)
    }
    this.#underWay.delete(instance)
    onEnd(on, problem)
  }

  /** Leaves the starts on nodes that are gone: they may never answer. */
  leave(isThere: (node: NodeName) => boolean): void {
    for (const [instance, { node, abort }] of this.#underWay) {
      if (isThere(node)) continue
      this.#underWay.delete(instance)
      abort.abort(new Error(`node ${node} is not healthy`))
    }
  }

  /** Keeps an instance awake that is ready; repeats that only now and then. */
  keep(route: Route, on: InstanceOnNode, why: string): void {
    const { connector, clock, log } = this.#options
    const { instance, node } = on
    const now = clock.now()
    if (now - (this.#keptAt.get(instance) ?? Number.NEGATIVE_INFINITY) < KEPT_AGAIN_EVERY) return
    this.#keptAt.set(instance, now)
    connector
      .keep(route, on, { forMs: KEPT_FOR, why }, AbortSignal.timeout(MASTER_CALL_WITHIN))
      .catch(cause => log.debug('instance not kept', { ...logFields(instance), node: node.name, cause }))
  }

  /** Leaves all that is under way to the nodes. */
  end(): void {
    this.leave(() => false)
  }
}
