import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import type { Channel, Other } from '../lib/threads/channel.ts'
import type { EndedRun, Held, HoldRequest, InstanceView, Phase, WantedRelease } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { progressOf, type WakeProgress } from '../model/wake-progress.ts'
import { Grant } from './grant.ts'
import type { HolderMethods, NodeMethods } from './grant-protocol.ts'

// With requests in quick succession, an app costs no message for each request. After this time without one, the grant is given back.
const LINGER_MS = 50

type Options = { readonly channel: Channel; readonly clock: Clock; readonly onRunEnded: (ended: EndedRun) => void }

/**
 * Holds apps of a node that runs in another thread of this process. Requests that come while there is a grant for their instance are
 * counted here, under that grant. A WebSocket gets a grant of its own, because the app's policy says whether it counts, and only the node
 * knows the policy.
 */
export class Holding {
  readonly #node: Other<NodeMethods>
  readonly #clock: Clock
  readonly #all = new Map<number, Grant>()
  readonly #current = new Map<GrantKey, Grant>()
  #sweeps = false

  constructor({ channel, clock, onRunEnded }: Options) {
    this.#node = channel.other<NodeMethods>()
    this.#clock = clock
    channel.serve<HolderMethods>({
      revoke: id => this.#all.get(id)?.revoke(),
      goAway: id => this.#all.get(id)?.goAway(),
      report: () => this.#report(),
      runEnded: onRunEnded,
    })
  }

  /** Does the same as the hold of an instance: at once if there is a grant. */
  hold(instance: InstanceId, request: HoldRequest, cancellation: Cancellation): Held | Promise<Held> {
    const grant = this.#current.get(keyOf(instance, request.release))
    if (grant !== undefined && request.kind === 'request' && !grant.isRevoked) return grant.enter(request)
    return this.#requestHold(instance, request, cancellation)
  }

  /** The instance now and at each change of its phase, or of the stage of its wake, until the signal aborts; for `permit` see `HoldRequest`. */
  async *follow(instance: InstanceId, permit: string | undefined, signal: AbortSignal): AsyncGenerator<InstanceView> {
    let seen: WakeProgress | undefined
    while (!signal.aborted) {
      try {
        const view: InstanceView = await this.#node.call('follow', { instance, permit, seen }, { signal })
        seen = progressOf(view)
        yield view
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }

  phase(instance: InstanceId): Promise<Phase> {
    return this.#node.call('phase', instance)
  }

  async #requestHold(instance: InstanceId, request: HoldRequest, cancellation: Cancellation): Promise<Held> {
    const { kind, what, bytes, mayWake, ignoredBy, patienceMs, permit, release, trace } = request
    const call = { instance, request: { kind, what, bytes, mayWake, ignoredBy, patienceMs, permit, release, trace } }
    const key = keyOf(instance, release)
    const granted = await this.#node.call('hold', call, cancellation, ({ grant }) =>
      this.#node.notify('giveBack', { grant, agoMs: null }),
    )
    const grant = new Grant(granted, {
      clock: this.#clock,
      refused: () => this.#node.call('refused', { instance, run: granted.run }),
      alive: () => this.#node.call('alive', { instance, run: granted.run }),
      badAnswer: fault => this.#node.notify('badAnswer', { grant: granted.grant, fault }),
      onUnused: () => this.#unused(key, grant),
    })
    this.#all.set(granted.grant, grant)
    const held = grant.enter(request, granted.waited)
    if (request.kind === 'request' && !granted.revoked) this.#makeCurrent(key, grant)
    return held
  }

  #makeCurrent(key: GrantKey, grant: Grant): void {
    const before = this.#current.get(key)
    this.#current.set(key, grant)
    if (before?.isUsed === false) this.#giveBack(key, before)
    this.#sweepLater()
  }

  /**
   * Keeps a grant for a short time if it may serve other requests. A grant that served only health checks is given back: otherwise a series
   * of checks would count as use.
   */
  #unused(key: GrantKey, grant: Grant): void {
    if (this.#current.get(key) !== grant || grant.isRevoked || !grant.lingers) this.#giveBack(key, grant)
  }

  #giveBack(key: GrantKey, grant: Grant): void {
    if (this.#current.get(key) === grant) this.#current.delete(key)
    this.#all.delete(grant.id)
    const { lastUsedAt } = grant
    const agoMs = lastUsedAt === undefined ? null : Math.max(0, this.#clock.now() - lastUsedAt)
    this.#node.notify('giveBack', { grant: grant.id, agoMs })
  }

  /** One timer for all grants, so that no request sets a timer. */
  #sweepLater(): void {
    if (this.#sweeps) return
    this.#sweeps = true
    this.#clock.after(LINGER_MS, () => {
      this.#sweeps = false
      this.#sweep(LINGER_MS)
      if (this.#current.size > 0) this.#sweepLater()
    })
  }

  #sweep(lingerMs: number): void {
    const now = this.#clock.now()
    for (const [key, grant] of this.#current) {
      if (grant.isUsed) continue
      const agoMs = now - (grant.lastUsedAt ?? 0)
      if (agoMs >= lingerMs || agoMs < 0) this.#giveBack(key, grant) // below 0 the clock was set back
    }
  }

  #report(): ReturnType<HolderMethods['report']> {
    this.#sweep(0)
    return [...this.#all.values()].map(grant => ({ grant: grant.id, holds: grant.holds }))
  }
}

/** The instance, and the release that the requests under the grant are for. */
type GrantKey = string

const keyOf = (instance: InstanceId, release: WantedRelease | undefined): GrantKey =>
  release === undefined ? instance : `${instance} ${release.revision}${release.isStrict ? ' only' : ''}`
