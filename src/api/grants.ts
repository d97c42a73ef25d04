import type { Cancellation } from '../lib/cancellation.ts'
import type { EndedRun, HoldRequest, HoldView, InstanceView, Phase } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'

/** Leave to hold an app for as many requests as come, until it is given back. */
export type Granted = {
  readonly grant: number
  readonly address: string
  readonly run: string
  readonly waited: Readonly<Record<string, number>> | undefined
  /** It was revoked before this arrived: good for the one request that asked. */
  readonly revoked: boolean
}

/** The methods that the thread with the instances offers to a worker. */
export type NodeMethods = {
  /** As the hold of an instance; one grant for each call. */
  hold(
    input: { readonly instance: InstanceId; readonly request: Omit<HoldRequest, 'grant'> },
    cancellation: Cancellation,
  ): Promise<Granted>
  /** `agoMs`: how long ago use that puts the sleep off ended; null for none. */
  giveBack(input: { readonly grant: number; readonly agoMs: number | null }): void
  /** This run of the app took no connection; see `Held.refused`. */
  refused(input: { readonly instance: InstanceId; readonly run: string }): Promise<void>
  /** A request that this run of the app had in hand was lost; see `Held.alive`. */
  alive(input: { readonly instance: InstanceId; readonly run: string }): Promise<void>
  /** An answer of the app was refused under this grant. */
  badAnswer(input: { readonly grant: number; readonly fault: string }): void
  /** The instance, as soon as it is not in the phase that was seen; for `permit` see `HoldRequest`. */
  follow(
    input: { readonly instance: InstanceId; readonly permit: string | undefined; readonly seen: Phase | undefined },
    cancellation: Cancellation,
  ): Promise<InstanceView>
  phase(instance: InstanceId): Phase
}

/** The methods that a worker offers to that thread. */
export type HolderMethods = {
  revoke(grant: number): void
  /** The app stops now: the WebSocket under this grant is told. */
  goAway(grant: number): void
  /** All that is held; what is held no more has been given back before. */
  report(input: null): readonly { readonly grant: number; readonly holds: readonly HoldView[] }[]
  /** No request goes to this run of an app any more. */
  left(ended: EndedRun): void
}
