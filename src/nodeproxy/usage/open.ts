import type { MasterClient } from '../../api/client.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { NodeName } from '../../model/names.ts'
import type { Filesystem } from '../filesystem/filesystem.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { BlockDrivers } from '../volumes/block-drivers.ts'
import { UsageLedger } from './ledger.ts'
import { UsageMeter } from './meter.ts'
import { UsageReporter } from './reporter.ts'

type Given = {
  readonly data: string
  readonly node: NodeName
  readonly master: MasterClient
  readonly runtime: Pick<Runtime, 'usage'>
  readonly filesystem: Pick<Filesystem, 'uses'>
  readonly volumes: Pick<BlockDrivers, 'localFile'>
  readonly clock: Clock
  readonly log: Log
}

export type Meter = Pick<UsageMeter, 'started' | 'ended' | 'requestsOf'> & AsyncDisposable & { start(): void }

/** Puts the meter of a node together with its ledger, and with what reports it to the master. */
export async function openMeter({
  data,
  node,
  master,
  runtime,
  filesystem,
  volumes,
  clock,
  log,
}: Given): Promise<Meter> {
  const ledger = await UsageLedger.open(`${data}/usage`, clock.wall(), log)
  const reporter = new UsageReporter({ node, ledger, master, clock, log })
  const meter = new UsageMeter({
    ledger,
    runtime,
    // Others are storage that all nodes see: the masters count them.
    volumes: async () => (await filesystem.uses()).filter(({ id }) => volumes.localFile(id) !== undefined),
    onRest: () => reporter.soon(),
    clock,
    log,
  })
  return {
    started: (...run) => meter.started(...run),
    ended: ended => meter.ended(ended),
    requestsOf: app => meter.requestsOf(app),
    start() {
      meter.start()
      reporter.start()
    },
    async [Symbol.asyncDispose]() {
      await meter[Symbol.asyncDispose]()
      await reporter[Symbol.asyncDispose]()
    },
  }
}
