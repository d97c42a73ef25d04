import type { ShadowError } from '../lib/errors.ts'
import type { Unwind } from '../lib/unwind.ts'
import { isRunning, type SleepStep, type StopReason, type WakeCause, type WakeStep } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { InstanceTarget } from './holds.ts'
import type { Idle } from './idle.ts'
import type { Liveness } from './liveness.ts'
import type { Running } from './running-container.ts'

/** How an instance rests once it is unwound. */
export type Rest =
  | { readonly phase: 'asleep'; readonly problem: ShadowError | null }
  | { readonly phase: 'crashed'; readonly problem: ShadowError }

/** How an instance came to rest. `problem`, `exitCode`: where its program or its wake has failed. */
export type Rested = {
  readonly why: StopReason | null
  readonly problem: ShadowError | null
  readonly exitCode?: number | undefined
}

/** A container that is ready, and what belongs to it. */
type Serving = {
  readonly running: Running
  readonly idle: Idle
  readonly target: InstanceTarget
  readonly liveness: Liveness
}

/** Where an instance is, with just what belongs to that. */
export type Phased =
  | Rest
  | { readonly phase: 'waking'; readonly abort: AbortController; readonly wake: Wake }
  | ({ readonly phase: 'awake' } & Serving)
  | ({ readonly phase: 'frozen' | 'suspended' } & Serving)
  | { readonly phase: 'stopping'; readonly undo: Unwind; readonly next: Rest }
  | { readonly phase: 'stuck'; readonly undo: Unwind; readonly next: Rest; readonly problem: ShadowError }

export type State = Phased & { readonly since: number }

/** Where an instance has a container that serves, be it frozen. */
export type Ready = State & { readonly phase: 'awake' | 'frozen' | 'suspended' }

export const isReady = (state: State): state is Ready => isRunning(state.phase)

export type Steps = Partial<Record<WakeStep, number>>

/** A wake under way: what it has to undo is there from its first moment on. */
export type Wake = { readonly undo: Unwind; readonly steps: Steps; readonly running: Promise<Running> }

/** Called before and after each step of a wake or a sleep; what it throws fails the step. */
export type OnStep = (instance: InstanceId, step: WakeStep | SleepStep, when: 'before' | 'after') => void

/** What a wake is for: in words for people, and as one of a few causes that can be counted. */
export type WokenBy = { readonly says: string; readonly cause: WakeCause }
