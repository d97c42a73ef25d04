import { isIP } from 'node:net'
import { hostname } from 'node:os'
import type { Membership } from '../api/membership.ts'
import { ShadowError } from '../lib/errors.ts'
import { LOG_LEVELS } from '../lib/log.ts'
import {
  type ListenAddress,
  listenAddress,
  oneOf,
  optionalSetting,
  setting,
  text,
  url,
  type Values,
  wholeNumber,
} from '../lib/settings.ts'
import { poolSize } from '../lib/threads/size.ts'
import { tracingSettings } from '../lib/tracing/settings.ts'
import { KEEP_TIERS } from '../model/instance.ts'
import { LEAST_LEASE } from '../model/intervals.ts'
import { labels } from '../model/labels.ts'
import { type NodeName, nodeName } from '../model/names.ts'
import { durationMs, orNever, sayMs, sizeBytes } from '../model/quantities.ts'
import { buildSettings } from './builds/settings.ts'
import { memoryFloor } from './pressure/memory-floor.ts'
import { EGRESS_MODES } from './runtime/firewall.ts'

/** A lease that lasts longer would be refused by the master. */
const MOST_LEASE = 3_600_000

/** The settings of a node. */
export const nodeproxySettings = {
  listen: optionalSetting('SHADOW_NODE_LISTEN', listenAddress('127.0.0.1'), {
    help: 'address that the node listens on; left out: 127.0.0.1:8081, or 0.0.0.0:8081 if this machine has joined a cluster',
  }),
  address: optionalSetting('SHADOW_NODE_ADDRESS', text, {
    help: 'HOST:PORT at which masters and fronts reach this node; left out: SHADOW_NODE_LISTEN or, in a cluster, the address by which this machine reached the master when it joined',
  }),
  name: optionalSetting('SHADOW_NODE_NAME', nodeName, {
    help: 'name of this node, unique among all nodes; volumes are leased to the name, so it must not change; left out: the name that it joined the cluster by, or the name of the machine',
  }),
  data: setting('SHADOW_DATA', text, {
    default: '/var/lib/shadow',
    help: 'data folder of this machine: volumes, logs, definitions',
  }),
  master: optionalSetting('SHADOW_MASTER', url, {
    help: 'URL of the master; left out: the one by which this machine joined the cluster, or http://127.0.0.1:8080',
  }),
  token: optionalSetting('SHADOW_TOKEN', text, {
    help: 'without a cluster, a token made for this node: shadow token create NAME --role node, where NAME is SHADOW_NODE_NAME',
  }),
  dockerSocket: optionalSetting('SHADOW_DOCKER_SOCKET', text, {
    help: 'socket of the Docker daemon of this machine; left out: the socket of DOCKER_HOST if that is unix://…, else /var/run/docker.sock',
  }),
  waitingPerApp: setting('SHADOW_WAITING_PER_APP', wholeNumber(1, 1_000_000), {
    default: '1000',
    help: 'how many requests may wait for one app: at the node for its wake, at the front for a request in flight to end; more get 503 queue-full',
  }),
  waitingPerNode: setting('SHADOW_WAITING_PER_NODE', wholeNumber(1, 1_000_000), {
    default: '5000',
    help: 'how many requests may wait on the node, for all apps together',
  }),
  waitingBytesPerApp: setting('SHADOW_WAITING_BYTES_PER_APP', sizeBytes, {
    default: '64MiB',
    help: 'how much memory the requests that wait for one app may take',
  }),
  waitingBytesPerNode: setting('SHADOW_WAITING_BYTES_PER_NODE', sizeBytes, {
    default: '256MiB',
    help: 'how much memory all waiting requests may take',
  }),
  workers: setting('SHADOW_WORKERS', poolSize, {
    default: 'auto',
    help: 'how many threads serve, all on one port: a number, or auto: one less than there are cores, at least 1 and at most 8',
  }),
  connections: setting('SHADOW_NODE_CONNECTIONS', wholeNumber(1, 1_000_000), {
    default: '50000',
    help: 'how many connections of fronts may be open; for one more, the longest idle one is closed',
  }),
  reopensWithin: setting('SHADOW_REOPENS_WITHIN', durationMs, {
    default: '5s',
    help: 'how long a request waits if a running app refuses the connection: an app that reloads opens its port again',
  }),
  egress: setting('SHADOW_EGRESS', oneOf(...EGRESS_MODES), {
    default: 'on',
    help: 'whether apps are kept from this machine and from private networks: on, warn (if iptables is missing, log a warning and go on), off',
  }),
  egressPorts: setting('SHADOW_EGRESS_PORTS', ports, {
    default: 'none',
    help: 'TCP ports of this machine that every app may reach, such as 80,443 if a separate front runs here; shadow up adds its own ports',
  }),
  nameServers: optionalSetting('SHADOW_EGRESS_NAME_SERVERS', nameServers, {
    help: 'name servers by which this node finds the domains that apps may reach, such as 9.9.9.9 or 127.0.0.1:5353, by commas; left out: those of this machine',
  }),
  egressAuthorities: optionalSetting('SHADOW_EGRESS_CA', text, {
    help: 'file with certificates (PEM) of authorities that hosts with credentials of apps may have beside the public ones',
  }),
  spot: setting('SHADOW_SPOT', oneOf('on', 'off'), {
    default: 'off',
    help: 'on: this node is a spot instance of EC2, and drains itself when EC2 says, two minutes before, that it takes the machine back',
  }),
  preparedNetworks: setting('SHADOW_PREPARED_NETWORKS', wholeNumber(0, 100), {
    default: '2',
    help: 'how many networks of containers are made before apps wake, so that those wakes take half the time; each takes some 6 MB while it waits, and while its app is awake; 0: none',
  }),
  parkedApps: setting('SHADOW_PARKED_APPS', wholeNumber(0, 1_000), {
    default: '0',
    help: 'for how many sleeping apps, those most likely to be woken next, a container waits that is made and started already, so that a wake takes little longer than the boot of the app, within SHADOW_PARKED_MEMORY; 0: only for those that shadow park names',
  }),
  parkedMemory: setting('SHADOW_PARKED_MEMORY', memoryFloor, {
    default: '10%',
    help: 'how much memory the containers of all parked apps may take together, as a size or in percent of this machine: each counts as 8 MiB; those that shadow park names count, too, and the others give way to them; 0: no app is parked',
  }),
  memoryOvercommit: setting('SHADOW_MEMORY_OVERCOMMIT', factor, {
    default: '2',
    help: 'how many times the memory of this machine awake apps may reserve together; 1: no overcommit',
  }),
  volumeOvercommit: setting('SHADOW_VOLUME_OVERCOMMIT', factor, {
    default: '10',
    help: 'how many times the space of the disk all volumes may have as their size together; a volume takes only what is in it',
  }),
  labels: optionalSetting('SHADOW_NODE_LABELS', labels, {
    help: 'labels of this node, such as zone=eu-1,disk=ssd; zone is the zone in which volumes of a cloud are looked for; left out: none',
  }),
  startsAtOnce: optionalSetting('SHADOW_STARTS_AT_ONCE', wholeNumber(1, 10_000), {
    help: 'how many containers are started at a time; when more apps are woken at once, the others wait for their turn, so that the first ones answer soon; left out: twice the processors',
  }),
  volumeSlots: setting('SHADOW_VOLUME_SLOTS', wholeNumber(0, 100_000), {
    default: '1000',
    help: 'how many volumes may be attached to this machine at a time; clouds often allow 28; 0: no app with a volume is placed here',
  }),
  restic: setting('SHADOW_RESTIC', text, {
    default: 'restic',
    help: 'the restic that makes and restores backups on this node, 0.16 or later: its path, or its name on the PATH of a system service',
  }),
  backupsAtOnce: setting('SHADOW_BACKUPS_AT_ONCE', wholeNumber(1, 100), {
    default: '1',
    help: 'how many volumes this node backs up, restores or tests at a time; others wait',
  }),
  pool: optionalSetting('SHADOW_POOL', text, {
    help: 'folder on storage that all nodes of the pool see, such as an NFS mount at /mnt/pool: volumes of the driver pool are there; left out: this node takes no app that has one',
  }),
  ebs: optionalSetting('SHADOW_EBS', clusterTag, {
    help: 'name of this cluster in the tags of its EBS disks, such as production: opens the driver ebs on an EC2 instance; disks without this tag are never touched; left out: this node takes no app with a volume on EBS',
  }),
  ebsMachine: optionalSetting('SHADOW_EBS_MACHINE', ec2MachineGiven, {
    help: 'the EC2 instance that this node runs on and its zone, such as i-0123456789abcdef0@eu-central-1a; left out: the metadata service of EC2 is asked',
  }),
  detachAfter: setting('SHADOW_DETACH_AFTER', durationMs, {
    default: '0s',
    help: 'how long a disk of a cloud (ebs, digitalocean) stays attached after its app fell asleep since nobody used it: its next wake is quicker; it is given up at once when another node or another volume needs it; 0s: it is detached at once; --detach-after of the app takes precedence',
  }),
  digitalocean: optionalSetting('SHADOW_DIGITALOCEAN', clusterWord, {
    help: 'name of this cluster in the tags of its disks at DigitalOcean, such as production: opens the driver digitalocean on a droplet; disks without this tag are never touched; left out: this node takes no app with such a volume',
  }),
  digitaloceanToken: optionalSetting('SHADOW_DIGITALOCEAN_TOKEN_FILE', text, {
    help: 'file with the token of that API; must be set with SHADOW_DIGITALOCEAN; it is read anew for each call',
  }),
  digitaloceanMachine: optionalSetting('SHADOW_DIGITALOCEAN_MACHINE', dropletGiven, {
    help: 'the droplet that this node runs on and its region, such as 3164444@fra1; left out: the metadata service is asked',
  }),
  poolLease: setting('SHADOW_POOL_LEASE', poolLease, {
    default: '60s',
    help: 'how long the lease of a volume of the pool or of a cloud lasts, renewed at a third of it, from 12s on: a node that dies is waited for so long before another takes its apps over',
  }),
  drainStop: setting('SHADOW_APP_DRAIN', durationMs, {
    default: '10s',
    help: 'how long requests in flight may go on when their app is put to sleep by hand, removed, or stopped with its node; --drain of the app takes precedence',
  }),
  sleepDryRun: setting('SHADOW_SLEEP_DRY_RUN', oneOf('off', 'on'), {
    default: 'off',
    help: 'on: no app of this node is put to sleep for want of use; its log and shadow why tell when it would have been. --sleep-dry-run of the app takes precedence',
  }),
  freezeAfter: setting('SHADOW_FREEZE_AFTER', orNever, {
    default: 'never',
    help: 'how long after its last use an app is frozen, until it sleeps or a request comes: it keeps its memory, uses no processor, and answers within a millisecond or two; --freeze-after of the app takes precedence',
  }),
  suspendAfter: setting('SHADOW_SUSPEND_AFTER', orNever, {
    default: 'never',
    help: 'how long after its last use the memory of a frozen app goes to the swap of this machine (zram or a swap file), if it has any; --suspend-after of the app takes precedence',
  }),
  keep: setting('SHADOW_KEEP', oneOf(...KEEP_TIERS), {
    default: 'asleep',
    help: 'the lowest tier that an app goes to for want of use: asleep; frozen or suspended: it stays so after its idle time, until its memory or its volume slot is needed; --keep of the app takes precedence',
  }),
  memoryFloor: setting('SHADOW_MEMORY_FLOOR', memoryFloor, {
    default: '5%',
    help: 'how much of the memory of this machine is kept free, as a size or in percent: below that, or while processes wait for memory, apps that nobody uses are suspended or put to sleep, the longest unused first; 0: they are not',
  }),
  drainUpdate: setting('SHADOW_APP_DRAIN_UPDATE', durationMs, {
    default: '30s',
    help: 'how long requests in flight may go on when the definition of their app has changed; --drain of the app takes precedence',
  }),
  drainWithin: setting('SHADOW_NODE_DRAIN_WITHIN', durationMs, {
    default: '10s',
    help: 'how long requests in flight may go on when the node stops; apps keep running',
  }),
  ...buildSettings,
  sessionIdle: setting('SHADOW_SESSION_IDLE', durationMs, {
    default: '1h',
    help: 'how long a session (shadow exec and the like) may pass no byte before it is ended: an open one keeps its app awake',
  }),
  diskFloor: setting('SHADOW_DISK_FLOOR', sizeBytes, {
    default: '512MiB',
    help: 'how much of the disk is kept free: before less is left, the app that has just written most is stopped',
  }),
  metricsListen: optionalSetting('SHADOW_METRICS_LISTEN', listenAddress('127.0.0.1'), {
    help: 'address that serves /metrics for Prometheus, such as 127.0.0.1:9464; left out: none; shadow up serves all three daemons on one address',
  }),
  ...tracingSettings,
  logLevel: setting('SHADOW_LOG_LEVEL', oneOf(...LOG_LEVELS), {
    default: 'info',
    help: 'lowest level that is logged: debug, info, warn, error or silent',
  }),
}

/** Parser: a number from 1 on. */
function factor(value: string): number {
  const number = Number(value)
  if (/^\d+(\.\d+)?$/.test(value) && number >= 1) return number
  throw new ShadowError('bad-input', `"${value}" is not a number from 1 on`)
}

/** Parser: a duration that a lease may last. */
function poolLease(value: string): number {
  const ms = durationMs(value)
  if (ms >= LEAST_LEASE && ms <= MOST_LEASE) return ms
  throw new ShadowError('bad-input', `"${value}" is not from ${sayMs(LEAST_LEASE)} to ${sayMs(MOST_LEASE)}`)
}

/** Parser: a part of a tag, in characters that IAM policies and the consoles of clouds leave alone. */
function clusterTag(value: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(value)) return value
  throw new ShadowError('bad-input', `"${value}" is not a name of up to 63 letters, digits, ".", "_" and "-"`)
}

/** Parser: a part of a tag of DigitalOcean, which has no dots, and does not tell capitals from small letters. */
function clusterWord(value: string): string {
  if (/^[a-z0-9][a-z0-9_-]{0,62}$/.test(value)) return value
  throw new ShadowError('bad-input', `"${value}" is not a name of up to 63 small letters, digits, "_" and "-"`)
}

/** Parser: an EC2 instance and its zone. */
function ec2MachineGiven(value: string): { readonly instance: string; readonly zone: string } {
  const [, instance, zone] = /^(i-[0-9a-f]+)@([a-z]{2}(?:-[a-z]+)+-[0-9][a-z0-9-]*)$/.exec(value) ?? []
  if (instance !== undefined && zone !== undefined) return { instance, zone }
  throw new ShadowError(
    'bad-input',
    `"${value}" is not an instance and its zone, such as i-0123456789abcdef0@eu-central-1a`,
  )
}

/** Parser: a droplet and its region. */
function dropletGiven(value: string): { readonly droplet: number; readonly region: string } {
  const [, droplet, region] = /^([1-9]\d{0,14})@([a-z]{3}\d+)$/.exec(value) ?? []
  if (droplet !== undefined && region !== undefined) return { droplet: Number(droplet), region }
  throw new ShadowError('bad-input', `"${value}" is not a droplet and its region, such as 3164444@fra1`)
}

/** Parser: IP addresses of name servers by commas, each with or without a port. */
function nameServers(value: string): readonly string[] {
  return value.split(',').map(part => {
    const text = part.trim()
    const [, address = text, port = '53'] = /^([\d.]+):(\d{1,5})$/.exec(text) ?? []
    if (isIP(address) !== 0 && Number(port) > 0 && Number(port) < 65_536) return text
    throw new ShadowError(
      'bad-input',
      `"${text}" is not the IP address of a name server, such as 9.9.9.9 or 127.0.0.1:5353`,
    )
  })
}

/** Parser: ports by commas, or `none`. */
function ports(value: string): readonly number[] {
  return value === 'none' ? [] : value.split(',').map(port => wholeNumber(1, 65_535)(port.trim()))
}

export type NodeproxyConfig = Values<typeof nodeproxySettings>

/**
 * The name of this node: the one that it joined the cluster by, as it is set, or made from the name of the machine. Fails with `bad-input`
 * if the first two differ.
 */
export function nameOf(config: Pick<NodeproxyConfig, 'name'>, membership?: Membership): NodeName {
  if (membership !== undefined) {
    const { member, file } = membership
    if (config.name === undefined || config.name === member.name) return member.name as NodeName
    throw new ShadowError(
      'bad-input',
      `SHADOW_NODE_NAME is ${config.name}, but this machine is ${member.name} of a cluster`,
      {
        hint: `leave it out; or to change the name, remove ${file} and join again`,
      },
    )
  }
  if (config.name !== undefined) return config.name
  const label = hostname()
    .toLowerCase()
    .split('.', 1)[0]
    ?.replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return nodeName(label || 'node')
}

const USUAL_SOCKET = '/var/run/docker.sock'

/**
 * The socket of this machine's Docker: that of DOCKER_HOST, which docker's own client follows too, or the usual one. A Docker on another
 * machine (tcp://, ssh://) cannot mount the volumes of this one, so it is not followed.
 */
export const socketHere = (dockerHost = process.env['DOCKER_HOST']): string =>
  /^unix:\/\/(.+)$/.exec(dockerHost ?? '')?.[1] ?? USUAL_SOCKET

const PORT = 8081

/** The address that the node listens on: as it is set, or this machine's own, or any in a cluster, where its peers show certificates. */
export const listenAt = (
  { listen }: Pick<NodeproxyConfig, 'listen'>,
  membership: Membership | undefined,
): ListenAddress => listen ?? { host: membership === undefined ? '127.0.0.1' : '0.0.0.0', port: PORT }

/** Where others reach the node that listens there: as it is set, or by the address from which it joined the cluster. */
export function reachedAt(
  { address }: Pick<NodeproxyConfig, 'address'>,
  listening: { readonly address: string; readonly port: number },
  membership: Membership | undefined,
): string {
  if (address !== undefined) return address
  if (membership === undefined || !/^(0\.0\.0\.0|\[::\]):/.test(listening.address)) return listening.address
  const { host } = membership
  return `${host.includes(':') ? `[${host}]` : host}:${listening.port}`
}
