import type { MasterClient } from '../api/client.ts'
import { isFailure } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import type { InstanceView } from '../model/instance.ts'

/** The instance of the app; undefined if no node has ever run one. */
export async function instanceOf(master: MasterClient, app: string): Promise<InstanceView | undefined> {
  try {
    return await master.call('getInstance', { params: { app } })
  } catch (error) {
    if (isFailure(error, 'not-found', 'no-node')) return undefined
    throw error
  }
}

/** The instances of the app that are not asleep, by their ids; none for an app that has one at most. */
export async function instancesOf(master: MasterClient, app: App): Promise<readonly InstanceView[]> {
  if (app.scale === undefined) return []
  const { items } = await master.call('listInstances', {})
  return items
    .filter(one => one.app === app.name && one.phase !== 'asleep')
    .toSorted((a, b) => a.instance.localeCompare(b.instance, 'en', { numeric: true }))
}
