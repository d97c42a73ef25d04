import type { MasterClient } from '../api/client.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { nearest } from '../lib/nearest.ts'
import type { App } from '../model/app.ts'
import { DIGESTS } from './printable.ts'

/** Runs the calls. If they fail with `app-not-found`, the hint names apps with similar names. */
export async function orNearApps<T>(master: MasterClient, name: string, calls: () => Promise<T>): Promise<T> {
  try {
    return await calls()
  } catch (error) {
    if (!isFailure(error, 'app-not-found')) throw error
    const near = nearest(
      name,
      (await allApps(master)).map(app => app.name),
    )
    if (near.length === 0) throw error
    throw new ShadowError(error.code, error.message, { ...error.details, hint: `did you mean ${near.join(' or ')}?` })
  }
}

/** All apps, read page by page. */
export async function allApps(master: MasterClient, sessions: 'with' | 'without' = 'with'): Promise<readonly App[]> {
  const apps: App[] = []
  let after: string | undefined
  do {
    const page = await master.call('listApps', {
      query: { after, ...(sessions === 'without' && { sessions }), ...DIGESTS },
    })
    apps.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined)
  return apps
}
