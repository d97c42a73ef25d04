import { type Hold, HoldList, releasedTwice, type Target } from '../api/hold-list.ts'
import type { Clock } from '../lib/clock.ts'
import type { Grant, HoldRequest } from '../model/instance.ts'
import type { TaskDefinition } from '../model/task.ts'

/** Where the requests for an awake instance go. */
export type InstanceTarget = Target & { readonly webSockets: TaskDefinition['sleep']['webSockets'] }

/** Whether the hold keeps nothing awake: it is a WebSocket, and the app's policy ignores them. */
export const isIgnored = ({ request, target }: Hold<InstanceTarget>): boolean =>
  request.kind === 'websocket' && target.webSockets !== 'hold'

/** How a hold was released: whether its use puts the sleep off, and when the use ended if that was not just now. */
export type Left = { readonly putsOff: boolean; readonly at?: number | undefined }

/** The users of an instance: its holds, and the requests that wait for it. The count is exact: a second release is a bug, and throws. */
export class Holds {
  readonly #list = new HoldList<InstanceTarget>(hold => this.#left(hold))
  /** Called whenever a hold that counts has left, or a request has waited. */
  onLeave: (left: Left) => void
  #counting = 0
  #waiting = 0
  #onDrained: (() => void) | undefined

  constructor(onLeave: (left: Left) => void) {
    this.onLeave = onLeave
  }

  /** How many holds there are that count; a grant is one of them. */
  get counting(): number {
    return this.#counting
  }

  get inUse(): boolean {
    return this.#counting > 0 || this.#waiting > 0
  }

  /** How many hold it; a grant counts as the requests under it. */
  get holding(): number {
    return this.#list.all.reduce((sum, { request: { grant } }) => sum + (grant?.holds.length ?? 1), 0)
  }

  get waiting(): number {
    return this.#waiting
  }

  /** The oldest first. */
  get all(): readonly Hold<InstanceTarget>[] {
    return this.#list.oldestFirst
  }

  /** Enters a holder; one that does not count (a WebSocket of an app that ignores them) is listed, but keeps nothing awake. */
  enter(request: HoldRequest, target: InstanceTarget, since: number): Hold<InstanceTarget> {
    const hold = this.#list.enter(request, target, since)
    if (!isIgnored(hold)) this.#counting++
    return hold
  }

  /** Enters a request that waits. */
  wait(): Disposable {
    let left = false
    this.#waiting++
    return {
      [Symbol.dispose]: () => {
        if (left) throw releasedTwice('a wait')
        left = true
        this.#waiting--
        this.onLeave(USE)
      },
    }
  }

  /** Revokes all grants: no new request may begin under them. Apps that use this one let go of it: its stop does not wait for them. */
  revoke(): void {
    for (const { request } of this.#list.all) {
      request.grant?.revoke()
      if (request.kind === 'companion') request.goAway?.()
    }
  }

  /** The instances that use this one. */
  get users(): readonly string[] {
    return this.#list.all.flatMap(({ request: { kind, what } }) => (kind === 'companion' ? what : []))
  }

  /** Closes open WebSockets and sessions with a reason, since the app stops. */
  goAway(): void {
    for (const { request } of this.#list.all) {
      if (request.kind === 'request' || request.kind === 'companion') continue
      request.goAway?.()
      request.grant?.goAway()
    }
  }

  /** Resolves when all holds that count have left, or after `withinMs`, with the number of those left. Requests that wait are not counted. */
  async drain(withinMs: number, clock: Clock): Promise<number> {
    if (this.#counting === 0 || withinMs === 0) return this.#counting
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#onDrained = resolve
    using _limit = clock.after(withinMs, resolve)
    await promise
    this.#onDrained = undefined
    return this.#counting
  }

  /** Ends a drain that is under way. */
  cut(): void {
    this.#onDrained?.()
  }

  #left(hold: Hold<InstanceTarget>): void {
    if (isIgnored(hold)) return
    this.#counting--
    this.onLeave(
      hold.request.grant === undefined ? (hold.request.mayWake ? USE : NO_USE) : leftUnder(hold.request.grant),
    )
    if (this.#counting === 0) this.#onDrained?.()
  }
}

const USE: Left = { putsOff: true }
// A check that may not wake the app is use while it lasts, but a row of them must not keep the app from sleeping.
const NO_USE: Left = { putsOff: false }
const leftUnder = ({ lastUsedAt }: Grant): Left => ({ putsOff: lastUsedAt !== undefined, at: lastUsedAt })
