import type { InstanceView, Phase, WakeStep } from './instance.ts'

/** The stages of a wake as visitors are told them: its data and its image are made ready, it is started, and its first answer is waited for. */
export const WAKE_STAGES = ['preparing', 'starting', 'answering'] as const
export type WakeStage = (typeof WAKE_STAGES)[number]

/** How far a wake is. `ms`: for how long it has been under way. Nodes of earlier versions tell the phase alone. */
export type WakeProgress = {
  readonly phase: Phase
  readonly stage?: WakeStage | undefined
  readonly ms?: number | undefined
}

/** How far the wake of an instance is, from the steps that have ended. */
export function progressOf({ phase, lastWake }: Pick<InstanceView, 'phase' | 'lastWake'>): WakeProgress {
  if (phase !== 'waking' || lastWake === null) return { phase }
  const has = (step: WakeStep): boolean => lastWake.steps[step] !== undefined
  return { phase, stage: has('start') ? 'answering' : has('create') ? 'starting' : 'preparing', ms: lastWake.ms }
}
