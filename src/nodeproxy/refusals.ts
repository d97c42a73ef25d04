import { ShadowError } from '../lib/errors.ts'
import type { Phase } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'
import { sayMs } from '../model/quantities.ts'

const LOOK_AGAIN_MS = 1_000
const LOOK_AGAIN_IF_ASLEEP_MS = 30_000

export const isAsleep = (app: AppName): ShadowError =>
  new ShadowError('app-asleep', `${app} is asleep, and this request does not wake it`, {
    retryAfterMs: LOOK_AGAIN_IF_ASLEEP_MS,
  })

export const isWaking = (app: AppName): ShadowError =>
  new ShadowError('app-waking', `${app} is being woken`, { retryAfterMs: LOOK_AGAIN_MS })

/** The app failed so often in a row that it is left alone for a while; the code stays that of its last failure. */
export const inCrashLoop = (app: AppName, last: ShadowError, failures: number, retryAfterMs: number): ShadowError =>
  new ShadowError(
    last.code,
    `${app} is in a crash loop: it failed ${failures} times in a row and is left alone for ${sayMs(retryAfterMs)}; the last time, ${last.message}`,
    { ...last.details, retryAfterMs },
  )

/** The app could not be unwound; `held` is what it still holds, the step that failed last. */
export function isStuck(app: AppName, held: readonly string[], cause: unknown): ShadowError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new ShadowError('app-stuck', `${app} could not go to sleep: ${held.at(-1)}: ${why}`, {
    cause,
    hint: `mend the cause; the next wake, or shadow sleep ${app}, takes it up again`,
    facts: { held: held.join(', ') },
  })
}

export const usesVolume = (app: AppName, phase: Phase): ShadowError =>
  new ShadowError('volume-in-use', `${app} uses the volume: it is ${phase}`, { hint: `shadow sleep ${app}` })
