import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { masterClient } from '../../src/api/client.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { noLog } from '../../src/lib/log.ts'
import { mapAtMost } from '../../src/lib/parallel.ts'
import { startMaster } from '../../src/master/main.ts'
import { certificatesIn, configOf } from './composed.ts'
import type { Setup } from './setup.ts'

const AT_ONCE = 32
const CALL_WITHIN_MS = 60_000

/**
 * Puts the certificate where the peer expects it, and registers an app for each hostname at a real master. The peer is then started on the
 * master's data folder.
 */
export async function register(setup: Setup): Promise<void> {
  const certificates = certificatesIn(setup.folder)
  await mkdir(certificates)
  await copyFile(setup.cert, join(certificates, 'default.crt'))
  await copyFile(setup.key, join(certificates, 'default.key'))
  await using master = await startMaster(configOf(setup).master, { clock: systemClock, log: noLog })
  const client = masterClient({ url: master.url, token: await master.token('admin'), withinMs: CALL_WITHIN_MS })
  const port = Number(setup.backend.split(':')[1])
  await mapAtMost(AT_ONCE, [...setup.hostnames.entries()], ([at, hostname]) =>
    client.call('registerApp', { body: { name: `app-${at}`, image: 'bench', port, domains: [hostname] } }),
  )
}
