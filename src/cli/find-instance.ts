import type { MasterClient } from '../api/client.ts'
import { isFailure } from '../lib/errors.ts'
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
