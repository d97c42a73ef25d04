import { ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App } from '../model/app.ts'
import type { Hostname } from '../model/hostname.ts'
import { isImageTemplate } from '../model/image-session.ts'
import { type AppName, isAppName } from '../model/names.ts'
import { sessionName, sessionParts } from '../model/session.ts'
import type { Found } from './app-writes.ts'
import type { Claims } from './claims.ts'
import type { Records } from './records.ts'

const MOST_REMEMBERED = 50_000
const SESSION_HOST = /^([a-z2-7]{16})\.(.+)$/

type Parts = { readonly records: Records; readonly claims: Claims; readonly appsDomain: Hostname }
export type Lookup = ReturnType<typeof appLookup>

/** Finds apps by hostname and in order. */
export function appLookup({ records, claims, appsDomain }: Parts) {
  /** The app that last had each hostname. This hint saves reading the claim; the app's own document decides. */
  const seen = new Map<Hostname, AppName>()

  const appWith = async (hostname: Hostname, name: AppName | undefined): Promise<Found | undefined> => {
    const record = name === undefined ? undefined : await records.read(name)
    return record?.state === 'live' && record.app.domains.includes(hostname) ? record : undefined
  }

  /** The session whose slot is the first label; the rest is a hostname of its template. It has no claim of its own. */
  const sessionAt = async (hostname: Hostname): Promise<Found | undefined> => {
    const [, slot, parent] = SESSION_HOST.exec(hostname) ?? []
    if (slot === undefined || parent === undefined) return undefined
    const template = imageTemplateAt(parent) ?? (await claims.appOf(parent as Hostname))
    return template && appWith(hostname, sessionName(template, slot))
  }

  /** What takes the place of a template for sessions of images is no app, and claims no hostname. */
  const imageTemplateAt = (parent: string): AppName | undefined => {
    const name = parent.endsWith(`.${appsDomain}`) ? parent.slice(0, -appsDomain.length - 1) : ''
    return isImageTemplate(name) && isAppName(name) ? name : undefined
  }

  return {
    /** The app that has the hostname, with one read if the hostname was looked up before; fails with `host-unknown`. */
    async atHost(hostname: Hostname): Promise<Found> {
      const found =
        (await appWith(hostname, seen.get(hostname))) ??
        (await appWith(hostname, await claims.appOf(hostname))) ??
        (await sessionAt(hostname))
      if (found === undefined) {
        seen.delete(hostname)
        throw new ShadowError('host-unknown', `no app has the hostname ${hostname}`, { hint: 'shadow ps' })
      }
      if (seen.size >= MOST_REMEMBERED) seen.clear()
      seen.set(hostname, found.app.name)
      return found
    },

    async list(
      after: AppName | undefined,
      limit: number,
      sessions: 'with' | 'without' = 'with',
    ): Promise<{ items: App[]; next: string | null }> {
      const names = await records.names(after, limit)
      const wanted = sessions === 'with' ? names : names.filter(name => sessionParts(name) === undefined)
      const found = await mapAtMost(32, wanted, name => records.read(name))
      return {
        items: found.flatMap(record => (record.state === 'live' ? record.app : [])),
        next: names.length === limit ? (names.at(-1) ?? null) : null,
      }
    },
  }
}
