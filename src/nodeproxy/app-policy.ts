import { availableParallelism } from 'node:os'
import { Turns } from '../lib/turns.ts'
import type { AppName } from '../model/names.ts'
import type { NodeproxyConfig } from './config.ts'
import type { InstanceParts } from './instance-parts.ts'

type Policy = Pick<InstanceParts, 'drain' | 'sleepDryRun' | 'freezeAfter' | 'suspendAfter' | 'keep' | 'starts'>

/** What the settings of a node say about all of its apps. */
export function appPolicy(config: NodeproxyConfig): Policy {
  const atOnce = config.startsAtOnce ?? 2 * availableParallelism()
  return {
    drain: { stopMs: config.drainStop, updateMs: config.drainUpdate },
    sleepDryRun: config.sleepDryRun === 'on',
    freezeAfter: config.freezeAfter,
    suspendAfter: config.suspendAfter,
    keep: config.keep,
    starts: new Turns<AppName>(atOnce),
  }
}
