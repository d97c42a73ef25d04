import { existsSync } from 'node:fs'
import type { Clock } from '../lib/clock.ts'
import type { Exec } from '../lib/exec.ts'
import type { Log } from '../lib/log.ts'
import type { Seals } from '../lib/seals.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { AppName, NodeName } from '../model/names.ts'
import type { WireCredential } from '../model/wire.ts'
import { ext4 } from './filesystem/ext4.ts'
import type { Filesystem } from './filesystem/filesystem.ts'
import type { Logs } from './logs/logs.ts'
import { openLogs } from './logs/open.ts'
import { docker } from './runtime/docker.ts'
import type { StoredImages } from './runtime/docker-images.ts'
import type { EgressMode } from './runtime/firewall.ts'
import type { NamedEgress } from './runtime/named-egress.ts'
import type { Runtime } from './runtime/runtime.ts'
import type { BlockDriver } from './volumes/block-driver.ts'
import type { BlockDrivers } from './volumes/block-drivers.ts'
import { openBlockDrivers } from './volumes/drivers.ts'

/** What a node stands on. */
export type Drivers = {
  readonly runtime: Runtime
  readonly volumes: BlockDrivers
  readonly filesystem: Filesystem
  readonly logs: Logs
}

export type DriverOptions = {
  readonly node: NodeName
  readonly data: string
  readonly dockerSocket: string
  readonly storedImages: StoredImages
  readonly egress?: EgressMode
  readonly egressPorts?: readonly number[]
  /** Serves apps whose definition names domains. */
  readonly named?: NamedEgress
  /** The secrets that requests of an instance get. */
  readonly wireOf?: (instance: InstanceId) => readonly WireCredential[]
  readonly isUsed?: (app: AppName) => boolean
  /** How many networks are made before containers need them. */
  readonly preparedNetworks?: number
  readonly volumeOvercommit?: number
  readonly floorBytes?: number
  readonly pool?: string | undefined
  readonly ebs?: BlockDriver | undefined
  readonly digitalocean?: BlockDriver | undefined
  readonly seals: Seals
  readonly exec: Exec
  readonly clock: Clock
  readonly log: Log
}

/** Docker, loop devices and log files of this machine. */
export function openDrivers({
  node,
  data,
  dockerSocket,
  storedImages,
  egress,
  egressPorts = [],
  named,
  wireOf,
  isUsed,
  preparedNetworks,
  volumeOvercommit,
  floorBytes,
  pool,
  ebs,
  digitalocean,
  seals,
  exec,
  clock,
  log,
}: DriverOptions): Drivers {
  const folder = `${data}/volumes`
  const runtime = docker({
    node,
    clock,
    log,
    socketPath: dockerSocket,
    storedImages,
    ...(egress && { egress }),
    addressesFile: `${data}/node/addresses`,
    frontPorts: egressPorts,
    ...(named && { named }),
    ...(wireOf && { wireOf }),
    ...(isUsed && { isUsed }),
    ...(preparedNetworks !== undefined && { preparedNetworks }),
    exec,
    sockets: `${data}/sockets`,
    gates: { folder: `${data}/gates`, seals },
    sources: `${data}/sources`,
    records: { folder: `${data}/containers`, isUpgrade: existsSync(`${data}/apps`) },
  })
  const volumes = openBlockDrivers({
    node,
    folder,
    pool,
    ebs,
    digitalocean,
    overcommit: volumeOvercommit,
    floorBytes,
    exec,
    log,
  })
  return {
    runtime,
    volumes,
    filesystem: ext4({ folder, file: volume => volumes.file(volume), exec }),
    logs: openLogs({ folder: `${data}/logs`, runtime, clock, log }),
  }
}
