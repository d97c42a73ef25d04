import { join } from 'node:path'
import type { Clock } from '../../lib/clock.ts'
import { ownDataFolder } from '../../lib/data-folder.ts'
import { lockFolder } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'
import type { MasterConfig } from '../config.ts'
import { openSecrets } from '../secrets.ts'
import { openStorage } from '../storage/open.ts'
import { initCluster } from './authority.ts'

type Options = { readonly url: string; readonly clock: Clock; readonly log: Log }

/**
 * Makes the CA of a cluster in the store of this master, whose masters are reached at the URL. Fails with `data-in-use` while `shadow up` runs
 * on the data folder, and with `already-exists` if the store has a cluster. Masters that run already must be started again.
 */
export async function initClusterOf(config: MasterConfig, { url, clock, log }: Options) {
  await ownDataFolder(config.data)
  using _lock = await lockFolder(config.data)
  const storage = await openStorage(config.storage ?? { kind: 'directory', path: join(config.data, 'store') })
  try {
    const seals = await openSecrets({ storage, keys: config.secretsKey, file: join(config.data, 'secrets-key'), log })
    return await initCluster({ storage, seals, clock, url })
  } finally {
    await storage.close()
  }
}
