import { isFailure } from '../../lib/errors.ts'
import type { Hostname } from '../../model/hostname.ts'
import { releaseAt } from '../../model/release-host.ts'
import type { Found } from '../app-writes.ts'
import type { Apps } from '../apps.ts'
import type { Lookup } from '../lookup.ts'

/**
 * The app at a hostname, with the release that the hostname is for, if it is for one alone. An app that had such a hostname before releases
 * had theirs keeps it. Fails with `host-unknown`.
 */
export async function atHost(
  lookup: Pick<Lookup, 'atHost'>,
  apps: Pick<Apps, 'find'>,
  hostname: Hostname,
  appsDomain: Hostname,
): Promise<Found & { release?: number }> {
  const of = releaseAt(hostname, appsDomain)
  if (of === undefined) return lookup.atHost(hostname)
  try {
    return await lookup.atHost(hostname)
  } catch (error) {
    if (!isFailure(error, 'host-unknown')) throw error
    const found = await apps.find(of.app).catch(failure => {
      throw isFailure(failure, 'app-not-found') ? error : failure
    })
    return { ...found, release: of.revision }
  }
}
