import type { Memory } from '../../lib/memory.ts'
import type { InstanceId } from '../../model/instance-id.ts'

/** What an instance that nobody uses can give where the machine is short of memory. */
export type Yielding = {
  readonly phase: 'awake' | 'frozen' | 'suspended'
  /** Since when nobody uses it. */
  readonly idleSince: number
  /** Whether its memory can go to swap, if the machine has some. */
  readonly canSuspend: boolean
  /** Whether its policy says that it does not sleep for want of use. */
  readonly isKept: boolean
}

export type Candidate = Yielding & { readonly id: InstanceId }

export type Step = { readonly id: InstanceId; readonly to: 'suspended' | 'asleep'; readonly idleSince: number }

/** What was used so short a time ago is left alone: it may have just been woken, or be used again in a moment. */
const LEAST_IDLE_MS = 30_000
/** Swap is nearly full where less than this share of it is free. */
const NEARLY_FULL = 0.1

/**
 * Which instance gives way next, and to which tier: the one that nobody has used for longest. An instance that is kept comes after all others.
 * Freezing gives no memory back, so an awake or frozen instance is suspended where there is swap, and sleeps otherwise. A suspended one gives
 * little: it sleeps if the swap is nearly full, or if nobody else gives anything.
 */
export function nextStep(candidates: readonly Candidate[], memory: Memory, now: number): Step | undefined {
  const hasSwap = memory.swapFreeBytes > NEARLY_FULL * memory.swapTotalBytes
  const byUse = candidates
    .filter(({ idleSince }) => now - idleSince >= LEAST_IDLE_MS)
    .toSorted((a, b) => Number(a.isKept) - Number(b.isKept) || a.idleSince - b.idleSince)
  const chosen = byUse.find(({ phase }) => phase !== 'suspended' || !hasSwap) ?? byUse[0]
  if (chosen === undefined) return undefined
  const { id, idleSince, phase, canSuspend } = chosen
  return { id, idleSince, to: hasSwap && canSuspend && phase !== 'suspended' ? 'suspended' : 'asleep' }
}
