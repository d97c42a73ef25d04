import type { Hostname } from './hostname.ts'
import { type AppName, isAppName } from './names.ts'

const RELEASE = /^r([1-9]\d{0,8})--(.+)$/

/** The hostname of one release of an app, while it runs: `r12--blog.<apps domain>`. */
export const releaseHost = (revision: number, app: AppName, appsDomain: Hostname): string =>
  `r${revision}--${app}.${appsDomain}`

/** The app and the revision that the hostname of a release names; undefined if it is not one. */
export function releaseAt(
  hostname: Hostname,
  appsDomain: Hostname,
): { readonly app: AppName; readonly revision: number } | undefined {
  if (!hostname.endsWith(`.${appsDomain}`)) return undefined
  return releaseIn(hostname.slice(0, -appsDomain.length - 1))
}

function releaseIn(label: string): { readonly app: AppName; readonly revision: number } | undefined {
  const [, revision = '', app = ''] = RELEASE.exec(label) ?? []
  return isAppName(app) ? { app, revision: Number(revision) } : undefined
}
