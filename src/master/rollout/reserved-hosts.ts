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

/**
 * The hostnames at which people see the dashboard. A browser sends its cookies to every port of a host, so that an app at such a hostname would
 * get the cookie of whoever is signed in.
 */
export const dashboardHosts = (...urls: readonly (string | undefined)[]): ReadonlySet<string> =>
  new Set(['localhost', ...urls.flatMap(url => (url === undefined ? [] : [new URL(url).hostname]))])

/** Fails with `bad-input` if a hostname is one of the dashboard. */
export function mustNotBeReserved(hostnames: readonly Hostname[], reserved: ReadonlySet<string>): void {
  const faults = hostnames
    .filter(hostname => reserved.has(hostname))
    .map(hostname => ({ field: 'domains', message: `${hostname} is the host of the dashboard` }))
  if (faults.length > 0) throw new ShadowError('bad-input', 'a hostname belongs to the dashboard', { faults })
}
