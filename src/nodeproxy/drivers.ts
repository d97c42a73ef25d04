import { existsSync } from 'node:fs'
import type { Clock } from '../lib/clock.ts'
import type { Exec } from '../lib/exec.ts'
import type { Log } from '../lib/log.ts'
import type { NodeName } from '../model/names.ts'
import type { Logs } from './logs/logs.ts'
import { openLogs } from './logs/open.ts'
import { docker } from './runtime/docker.ts'
import type { EgressMode } from './runtime/firewall.ts'
import type { Runtime } from './runtime/runtime.ts'
import { loop } from './volumes/loop.ts'
import { mounts } from './volumes/mount.ts'
import type { Mounts, VolumeDriver } from './volumes/volumes.ts'

/** What a node stands on. */
export type Drivers = {
  readonly runtime: Runtime
  readonly volumes: VolumeDriver
  readonly mounts: Mounts
  readonly logs: Logs
}

type Options = {
  readonly node: NodeName
  readonly data: string
  readonly dockerSocket: string
  readonly egress?: EgressMode
  readonly egressPorts?: readonly number[]
  readonly volumeOvercommit?: number
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
}

/** Docker, loop devices and log files of this machine. */
export function openDrivers({
  node,
  data,
  dockerSocket,
  egress,
  egressPorts = [],
  volumeOvercommit,
  exec,
  clock,
  log,
}: Options): Drivers {
  const folder = `${data}/volumes`
  const runtime = docker({
    node,
    clock,
    log,
    socketPath: dockerSocket,
    ...(egress && { egress }),
    addressesFile: `${data}/node/addresses`,
    frontPorts: egressPorts,
    exec,
    records: { folder: `${data}/containers`, isUpgrade: existsSync(`${data}/apps`) },
  })
  return {
    runtime,
    volumes: loop({ folder, exec, log, ...(volumeOvercommit !== undefined && { overcommit: volumeOvercommit }) }),
    mounts: mounts({ folder, exec }),
    logs: openLogs({ folder: `${data}/logs`, runtime, clock, log }),
  }
}
