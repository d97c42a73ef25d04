import { ShadowError } from '../lib/errors.ts'
import type { Phase } from '../model/instance.ts'
import { appOf, type InstanceId } from '../model/instance-id.ts'
import type { VolumeId } from '../model/names.ts'
import { sayMs } from '../model/quantities.ts'

const RETRY_AFTER_MS = 1_000
const RETRY_IF_ASLEEP_AFTER_MS = 30_000

export const isAsleep = (instance: InstanceId): ShadowError =>
  new ShadowError('app-asleep', `${instance} is asleep, and this request does not wake it`, {
    retryAfterMs: RETRY_IF_ASLEEP_AFTER_MS,
  })

export const isWaking = (instance: InstanceId): ShadowError =>
  new ShadowError('app-waking', `${instance} is being woken`, { retryAfterMs: RETRY_AFTER_MS })

/** The request is for one release alone, which does not run any more, or never did. */
export const releaseEnded = (instance: InstanceId, revision: number, serves: number): ShadowError =>
  new ShadowError('release-ended', `release ${revision} of ${appOf(instance)} does not run: release ${serves} serves`, {
    hint: `use the app's own address; shadow status ${appOf(instance)}`,
    facts: { release: serves },
  })

/** The app failed so often in a row that it is left alone for a while; the code stays that of its last failure. */
export const inCrashLoop = (
  instance: InstanceId,
  last: ShadowError,
  failures: number,
  retryAfterMs: number,
): ShadowError =>
  new ShadowError(
    last.code,
    `${instance} is in a crash loop: it failed ${failures} times in a row and is left alone for ${sayMs(retryAfterMs)}; the last time, ${last.message}`,
    { ...last.details, retryAfterMs },
  )

/** The app could not be unwound; `held` is what it still holds, the step that failed last. */
export function isStuck(instance: InstanceId, held: readonly string[], cause: unknown): ShadowError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new ShadowError('app-stuck', `${instance} could not go to sleep: ${held.at(-1)}: ${why}`, {
    cause,
    hint: `mend the cause; the next wake, or shadow sleep ${appOf(instance)}, takes it up again`,
    facts: { held: held.join(', ') },
  })
}

export const usesVolume = (instance: InstanceId, phase: Phase): ShadowError =>
  new ShadowError('volume-in-use', `${instance} uses the volume: it is ${phase}`, {
    hint: `shadow sleep ${appOf(instance)}`,
  })

/** One of several instances of an app with a volume: only the plain instance may attach the volume. */
export const hasNoVolume = (instance: InstanceId, volume: VolumeId): ShadowError =>
  new ShadowError(
    'volume-in-use',
    `${instance} has no right to the volume ${volume}: it belongs to the plain instance of ${appOf(instance)}`,
    { hint: `an app with a volume runs as one instance: ${appOf(instance)}` },
  )

export const notAsleep = (instance: InstanceId): ShadowError =>
  new ShadowError('app-in-use', `${instance} is not asleep, or is being woken`, {
    hint: `shadow why ${appOf(instance)}`,
  })
