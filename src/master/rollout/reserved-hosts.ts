import { ShadowError } from '../../lib/errors.ts'
import type { Hostname } from '../../model/hostname.ts'
import { releaseAt } from '../../model/release-host.ts'

/** Fails with `bad-input` if a hostname is one that releases of apps have. */
export function mustBeNoRelease(hostnames: readonly Hostname[], appsDomain: Hostname): void {
  const faults = hostnames.flatMap(hostname => {
    const release = releaseAt(hostname, appsDomain)
    if (release === undefined) return []
    const message = `${hostname} is the address of release ${release.revision} of the app ${release.app}`
    return [{ field: 'domains', message }]
  })
  if (faults.length > 0) throw new ShadowError('bad-input', 'a hostname belongs to a release', { faults })
}
