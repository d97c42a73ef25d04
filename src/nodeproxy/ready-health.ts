import { setTimeout as sleep } from 'node:timers/promises'
import { orAborted } from '../lib/abort.ts'
import { ShadowError } from '../lib/errors.ts'
import type { AppName } from '../model/names.ts'
import type { Health } from './runtime/runtime.ts'

// Each check is a call to Docker.
const CHECK_EVERY_MS = 250

/**
 * Resolves as soon as the check that the image brings (HEALTHCHECK) has passed; rejects with the signal's reason, or with
 * `definition-refused` where the image brings none.
 */
export async function untilHealthy(
  app: AppName,
  health: () => Promise<Health | undefined>,
  onAnswer: ((said: string) => void) | undefined,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const found = await orAborted(health(), signal)
    if (found === undefined) throw noHealthcheck(app)
    if (found.isHealthy) return
    if (found.said !== undefined) onAnswer?.(found.said)
    await sleep(CHECK_EVERY_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

export const noHealthcheck = (app: AppName): ShadowError =>
  new ShadowError('definition-refused', `${app} is to be ready by its health check, and its image has no HEALTHCHECK`, {
    hint: `shadow update ${app} --ready port, or http:/path; or add HEALTHCHECK to the Dockerfile`,
  })
