import { ShadowError } from '../../lib/errors.ts'
import { DoError } from './digitalocean-api.ts'
import type { Droplet } from './droplet.ts'

/** What DigitalOcean refused, as the error of the driver; any other error stays as it is. `what` is what was to be done: "attach volume blog". */
export function asFailure(error: unknown, what: string, { droplet, region }: Droplet): unknown {
  if (!(error instanceof DoError)) return error
  const say = (reason: string): string => `DigitalOcean cannot ${what}: ${reason} (${error.message})`
  switch (error.failure) {
    case 'no-capacity':
      return new ShadowError('disk-full', say(`the limits of the account in ${region} have no room left`), {
        cause: error,
        hint: 'ask for higher limits in the control panel, or remove volumes',
      })
    case 'no-slot':
      return new ShadowError('no-volume-slot', say(`droplet ${droplet} has as many disks as it can have`), {
        cause: error,
        hint: 'set SHADOW_VOLUME_SLOTS on this node to what a droplet can have: 7, or 15 by now',
      })
    case 'denied':
      return new ShadowError('cloud-failed', say('the token of this node does not allow it'), {
        cause: error,
        hint: 'it needs the scopes block_storage, block_storage_action, block_storage_snapshot, snapshot, droplet:read and tag:create, in the file of SHADOW_DIGITALOCEAN_TOKEN_FILE',
      })
    case 'throttled':
      return new ShadowError('cloud-failed', say('the API is called too often'), { cause: error, retryAfterMs: 30_000 })
    case 'no-answer':
      return new ShadowError('cloud-failed', say('no answer came'), { cause: error, retryAfterMs: 5_000 })
    default:
      return new ShadowError('cloud-failed', say(error.failure), { cause: error })
  }
}
