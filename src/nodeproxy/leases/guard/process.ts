import { setTimeout as sleep } from 'node:timers/promises'
import { bootNow } from '../../../lib/boot-id.ts'
import { asShadowError } from '../../../lib/errors.ts'
import { openLog } from '../../../lib/log.ts'
import { mountpointOf, realFolder } from '../../volumes/layout.ts'
import { pool } from '../../volumes/pool.ts'
import { type Entry, guardedLeases, monotonicNow } from './entries.ts'
import { fence } from './fence.ts'
import { type GuardSettings, guardFolder } from './guard.ts'

// The guard process of a node: see ProcessGuard. It ends when the node has ended, and no lease is left to watch or a newer guard watches them.

const SWEEP_EVERY_MS = 250
const TRY_AGAIN_AFTER_MS = 1_000

const { data, node, pool: folder, level }: GuardSettings = JSON.parse(process.argv[2] ?? '{}')
const log = openLog({ name: 'lease-guard', level })
const leases = guardedLeases(guardFolder(data))
const driver = pool({ folder, node })
const volumes = realFolder(`${data}/volumes`)
const boot = bootNow()
const busy = new Set<string>()

let isOrphan = false
process.stdin.resume().on('close', () => {
  isOrphan = true
})
process.stdout.on('error', () => undefined) // nobody reads any more
await leases.takeOver()
process.stdout.write('ready\n')

for (;;) {
  const entries = await leases.list()
  for (const entry of entries) {
    if (entry.boot !== boot) await leases.remove(entry.volume)
    else if (monotonicNow() >= entry.fenceAt && !busy.has(entry.volume)) void end(entry)
  }
  if (isOrphan && busy.size === 0 && (entries.length === 0 || (await leases.isTakenOver()))) process.exit(0)
  await sleep(SWEEP_EVERY_MS)
}

/** Ends what uses the volume; tried again until nothing does, or the lease was renewed. */
async function end({ volume, fenceAt, endsAt }: Entry): Promise<void> {
  busy.add(volume)
  try {
    const isLate = monotonicNow() >= endsAt
    const at = mountpointOf(await volumes(), volume)
    const killed = await fence({ volume, at, containers: `${data}/containers`, driver, isLate })
    if ((await leases.read(volume))?.fenceAt === fenceAt) await leases.remove(volume)
    log.error('lease not renewed in time: all that used the volume was ended', { volume, killed, isLate })
  } catch (cause) {
    log.error('lease not renewed in time, and its volume is still in use', {
      volume,
      detail: asShadowError(cause).message,
      cause,
    })
    await sleep(TRY_AGAIN_AFTER_MS)
  } finally {
    busy.delete(volume)
  }
}
