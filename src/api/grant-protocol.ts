import type { Cancellation } from '../lib/cancellation.ts'
import type { EndedRun, HoldRequest, HoldView, InstanceView, Phase } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { WakeProgress } from '../model/wake-progress.ts'

/** The permission to hold an app for any number of requests, until it is given back. */
export type Granted = {
  readonly grant: number
  readonly address: string
  readonly run: string
  /** See `Held.release`. */
  readonly release?: number | undefined
  readonly waited: Readonly<Record<string, number>> | undefined
  /** See `Held.answersUntil`. */
  readonly answersUntil?: Float64Array | undefined
  /** See `Held.requests`. */
  readonly requests?: Int32Array | undefined
  /** The grant was revoked before this answer arrived: it is good only for the one request that asked for it. */
  readonly revoked: boolean
}

/** The methods that the thread with the instances offers to a worker. */
export type NodeMethods = {
  /** Does the same as the hold of an instance; each call makes one grant. */
  hold(
    input: { readonly instance: InstanceId; readonly request: Omit<HoldRequest, 'grant'> },
    cancellation: Cancellation,
  ): Promise<Granted>
  /** `agoMs`: how long ago the last use that postpones the sleep ended; null if there was none. */
  giveBack(input: { readonly grant: number; readonly agoMs: number | null }): void
  /** This run of the app refused the connection; see `Held.refused`. */
  refused(input: { readonly instance: InstanceId; readonly run: string }): Promise<void>
  /** This run of the app lost a request; see `Held.alive`. */
  alive(input: { readonly instance: InstanceId; readonly run: string }): Promise<void>
  /** An answer of the app was refused under this grant. */
  badAnswer(input: { readonly grant: number; readonly fault: string }): void
  /** The instance, as soon as it is in another phase or stage than the given one; for `permit` see `HoldRequest`. */
  follow(
    input: {
      readonly instance: InstanceId
      readonly permit: string | undefined
      readonly seen: WakeProgress | undefined
    },
    cancellation: Cancellation,
  ): Promise<InstanceView>
  phase(instance: InstanceId): Phase
}

/** The methods that a worker offers to that thread. */
export type HolderMethods = {
  revoke(grant: number): void
  /** The app stops now: the worker closes the WebSocket under this grant. */
  goAway(grant: number): void
  /** All holds of the worker. Holds that have ended are not listed: they were given back before. */
  report(input: null): readonly { readonly grant: number; readonly holds: readonly HoldView[] }[]
  /** This run of an app gets no more requests. */
  runEnded(ended: EndedRun): void
}
