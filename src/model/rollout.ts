import type { Problem } from '../lib/errors.ts'

/**
 * The stages of a release on its way to serve, on one node:
 * `waiting` for its turn, since other instances of the app or earlier releases come first; `pulling` its image; `checking` that it can be run;
 * `holding`: the earlier release takes no more requests, and new ones wait; `starting` its container; `ready`; `switched`: new requests go to it;
 * `draining`: the earlier release lets its last uses end; `put-off`: it could not be started now, and is tried again; `rejected`: it cannot
 * be made ready, and the earlier release serves on.
 */
export const ROLLOUT_STAGES = [
  'waiting',
  'pulling',
  'checking',
  'holding',
  'starting',
  'ready',
  'switched',
  'draining',
  'put-off',
  'rejected',
] as const
export type RolloutStage = (typeof ROLLOUT_STAGES)[number]

/** `why` in words; `problem`: why it came no further. */
export type RolloutStep = {
  readonly stage: RolloutStage
  readonly at: string
  readonly why?: string | undefined
  readonly problem?: Problem | undefined
}

/** How far the newest revision is that an instance has seen while it was awake. */
export type RolloutView = { readonly revision: number; readonly stages: readonly RolloutStep[] }

/**
 * How a rollout has ended, for whoever waits for it: `serves`: the revision runs on every instance that is awake; `asleep`: the app sleeps, and
 * its next wake runs the revision; `rejected`: it cannot be made ready; `superseded`: a newer revision came; `failed`: a node could not
 * start it now, or does not answer; `late`: the time was over.
 */
export const ROLLOUT_OUTCOMES = ['serves', 'asleep', 'rejected', 'superseded', 'failed', 'late'] as const
export type RolloutOutcome = (typeof ROLLOUT_OUTCOMES)[number]

/** The end of a rollout. `serves`: the revision that runs now; null if none does. */
export type RolloutEnd = {
  readonly outcome: RolloutOutcome
  readonly revision: number
  readonly serves: number | null
  readonly problem?: Problem | undefined
}
