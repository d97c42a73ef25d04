import { pause } from '../lib/abort.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import type { Clock } from '../lib/clock.ts'
import type { ConcurrencyLimit } from '../lib/concurrency-limit.ts'
import { Refusal, UpstreamError } from '../lib/http/next-hop.ts'
import type { Held } from '../model/instance.ts'
import { NODE_BACK_WITHIN } from '../model/intervals.ts'
import { countError, countRequest } from '../model/request-counts.ts'

/** How often a request is forwarded before it fails. After a wait for a node, the count starts again. */
const TRIES = 3
/** The pause before a missing target is looked for again, in milliseconds. */
export const RETRY_AFTER_MS = 100

/** An attempt that did not serve the request. Without `held`, the hold failed and nothing was forwarded. */
export type Failed<T> = { readonly target: T; readonly held: Held | undefined; readonly error: unknown }

/** One request on its way to its app through a target of the type T: a front's target is a node, a node's target is the app itself. */
export interface Delivery<T> {
  /** The places of the app; the request has taken one. */
  readonly places: Pick<ConcurrencyLimit, 'leave'>
  readonly cancellation: Cancellation
  readonly clock: Clock
  /** Whether whoever the request was forwarded to may have begun to handle it. */
  readonly mayBeSeen: boolean
  /** The target that can be used at once; undefined: `choose` finds it. */
  known(): T | undefined
  /** Waits for a target; fails if there is none. */
  choose(): Promise<T>
  /** Holds the app awake. It returns the hold at once if nothing has to be waited for. */
  hold(target: T): Held | Promise<Held>
  forward(target: T, held: Held): Promise<void>
  /** Whether another target may serve a request that no app has seen. It also records what the failure says about the target. */
  mayGoElsewhere(failed: Failed<T>): boolean
  /** Whether the target may be back within NODE_BACK_WITHIN and then serve a request that no app has seen. */
  mayComeBack(failed: Failed<T>): boolean
  /** The error for the client. */
  errorOf(failed: Failed<T>): unknown
  /** Answers the client with the error, or throws it. */
  fail(error: unknown): Promise<void>
}

/**
 * Delivers a request: holds the app, forwards, and releases the hold and the place after the last byte. If the first hold throws at once,
 * this throws the same error; otherwise it rejects with the error of `fail`. The rules for another attempt:
 *
 * - A request that the app may have seen is never repeated, unless its node says that it cannot serve it and the method is idempotent. If the app
 *   ended during the request, that is the error.
 * - If a run of the app refused the connection, the request is repeated once the run says that a new hold makes sense.
 * - A request that no app has seen is repeated with another target if there is one: TRIES times in all.
 * - A request that no app has seen waits for its target if the target may come back: until NODE_BACK_WITHIN after the first failure.
 */
// Not an async function: suspending one costs as much as reading a head, and most requests are for an app that is awake.
export function deliver<T>(delivery: Delivery<T>): Promise<void> {
  let target: T | undefined
  let held: Held | Promise<Held>
  try {
    target = delivery.known()
    if (target === undefined) return persist(delivery)
    held = delivery.hold(target)
  } catch (error) {
    delivery.places.leave()
    throw error
  }
  if (held instanceof Promise) return persist(delivery, { target, holding: held })
  return forwardOnce(delivery, target, held)
}

function forwardOnce<T>(delivery: Delivery<T>, target: T, held: Held): Promise<void> {
  return delivery.forward(target, held).then(
    () => {
      countServed(held)
      held[Symbol.dispose]()
      delivery.places.leave()
    },
    error => {
      noteBadAnswer(held, error)
      held[Symbol.dispose]()
      return persist(delivery, { target, held, error })
    },
  )
}

/** A hold that is not there yet. */
type Begun<T> = { readonly target: T; readonly holding: Promise<Held> }

async function persist<T>(delivery: Delivery<T>, tried?: Begun<T> | Failed<T>): Promise<void> {
  try {
    const givesUpAt = delivery.clock.now() + NODE_BACK_WITHIN
    let begun = tried !== undefined && 'holding' in tried ? tried : undefined
    let failed = tried !== undefined && 'error' in tried ? tried : undefined
    for (let left = failed === undefined ? TRIES : TRIES - 1; ; left--) {
      if (failed !== undefined) left = await untilNext(delivery, failed, left, givesUpAt)
      const target: T = begun?.target ?? (await delivery.choose())
      const holding = begun?.holding
      begun = undefined
      let held: Held | undefined
      try {
        using taken = await (holding ?? delivery.hold(target))
        held = taken
        await delivery.forward(target, taken)
        countServed(taken)
        return
      } catch (error) {
        if (held !== undefined) noteBadAnswer(held, error)
        failed = { target, held, error }
      }
    }
  } catch (error) {
    await delivery.fail(error)
  } finally {
    delivery.places.leave()
  }
}

/** Resolves when another attempt makes sense, with the number of attempts left; rejects with the error for the client. */
async function untilNext<T>(
  delivery: Delivery<T>,
  failed: Failed<T>,
  left: number,
  givesUpAt: number,
): Promise<number> {
  const { held, error } = failed
  const isSeen =
    error instanceof UpstreamError || error instanceof Refusal
      ? error.sent
      : held !== undefined && held.isHop !== true && delivery.mayBeSeen
  if (isSeen && held !== undefined) countFailed(held)
  if (error instanceof UpstreamError && error.sent && !error.isRefused) await held?.alive?.()
  if (isSeen) throw delivery.errorOf(failed)
  if (left > 0 && (await mayRepeat(delivery, failed))) return left
  if (!delivery.mayComeBack(failed) || delivery.clock.now() >= givesUpAt) throw delivery.errorOf(failed)
  await pause(delivery.clock, RETRY_AFTER_MS, delivery.cancellation.signal)
  return TRIES
}

async function mayRepeat<T>(delivery: Delivery<T>, failed: Failed<T>): Promise<boolean> {
  const { held, error } = failed
  if (error instanceof UpstreamError && held?.isHop !== true) {
    await held?.refused?.()
    return true
  }
  return delivery.mayGoElsewhere(failed)
}

/** A request counts once: when its answer is whole, or when it fails after the app may have seen it. */
function countServed({ requests }: Held): void {
  if (requests !== undefined) countRequest(requests)
}

function countFailed({ requests }: Held): void {
  if (requests === undefined) return
  countRequest(requests)
  countError(requests)
}

/** Has the node record the fault of an answer that was refused. */
function noteBadAnswer({ badAnswer }: Held, error: unknown): void {
  if (error instanceof UpstreamError && error.isRefused) badAnswer?.(error.message)
}
