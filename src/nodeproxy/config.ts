import { hostname } from 'node:os'
import { ShadowError } from '../lib/errors.ts'
import { LOG_LEVELS } from '../lib/log.ts'
import { listenAddress, oneOf, optionalSetting, setting, text, url, type Values, wholeNumber } from '../lib/settings.ts'
import { crewSize } from '../lib/threads/size.ts'
import { type NodeName, nodeName } from '../model/names.ts'
import { durationMs, sizeBytes } from '../model/quantities.ts'
import { EGRESS_MODES } from './runtime/firewall.ts'

/** The settings of a node. */
export const nodeproxySettings = {
  listen: setting('SHADOW_NODE_LISTEN', listenAddress('127.0.0.1'), {
    default: '127.0.0.1:8081',
    help: 'where the node listens; 0.0.0.0:8081 for a master and fronts on other machines',
  }),
  address: optionalSetting('SHADOW_NODE_ADDRESS', text, {
    help: 'HOST:PORT where master and fronts reach this node; left out: where it listens',
  }),
  name: optionalSetting('SHADOW_NODE_NAME', nodeName, {
    help: 'name of this node, its own among all; volumes are leased to it, so it must not change; left out: the name of the machine',
  }),
  data: setting('SHADOW_DATA', text, {
    default: '/var/lib/shadow',
    help: 'folder for what this machine keeps: volumes, logs, definitions',
  }),
  master: setting('SHADOW_MASTER', url, { default: 'http://127.0.0.1:8080', help: 'where the master is' }),
  token: setting('SHADOW_TOKEN', text, {
    help: 'a token made for this node: shadow token create NAME --role node, where NAME is its SHADOW_NODE_NAME',
  }),
  dockerSocket: setting('SHADOW_DOCKER_SOCKET', text, {
    default: '/var/run/docker.sock',
    help: 'where the Docker daemon of this machine listens',
  }),
  waitingPerApp: setting('SHADOW_WAITING_PER_APP', wholeNumber(1, 1_000_000), {
    default: '1000',
    help: 'how many requests may wait for one app: at the node for its wake, at the front for one of those in flight to end; more get queue-full',
  }),
  waitingPerNode: setting('SHADOW_WAITING_PER_NODE', wholeNumber(1, 1_000_000), {
    default: '5000',
    help: 'how many requests may wait on the whole node',
  }),
  waitingBytesPerApp: setting('SHADOW_WAITING_BYTES_PER_APP', sizeBytes, {
    default: '64MiB',
    help: 'how much memory requests that wait for one app may take',
  }),
  waitingBytesPerNode: setting('SHADOW_WAITING_BYTES_PER_NODE', sizeBytes, {
    default: '256MiB',
    help: 'how much memory all requests that wait may take',
  }),
  workers: setting('SHADOW_WORKERS', crewSize, {
    default: 'auto',
    help: 'threads that serve, sharing the port: a number, or auto for one less than there are cores, at least 1, at most 8',
  }),
  connections: setting('SHADOW_NODE_CONNECTIONS', wholeNumber(1, 1_000_000), {
    default: '50000',
    help: 'how many connections of fronts may be open; for more the longest idle one is closed',
  }),
  reopensWithin: setting('SHADOW_REOPENS_WITHIN', durationMs, {
    default: '5s',
    help: 'how long a request is kept that an app refused the connection of, while the app runs: one that is reloaded opens its port again',
  }),
  egress: setting('SHADOW_EGRESS', oneOf(...EGRESS_MODES), {
    default: 'on',
    help: 'whether apps are kept from this machine and the private networks: on, warn (only where iptables is there), off',
  }),
  egressPorts: setting('SHADOW_EGRESS_PORTS', ports, {
    default: 'none',
    help: 'TCP ports of this machine that every app may reach, such as 80,443 where a front of its own runs here; shadow up knows its own',
  }),
  memoryOvercommit: setting('SHADOW_MEMORY_OVERCOMMIT', factor, {
    default: '2',
    help: 'how many times the memory of this machine apps that are awake may reserve; 1 for none twice',
  }),
  volumeOvercommit: setting('SHADOW_VOLUME_OVERCOMMIT', factor, {
    default: '10',
    help: 'how many times the room on the disk all volumes may be promised together; their files take what is in them',
  }),
  drainStop: setting('SHADOW_APP_DRAIN', durationMs, {
    default: '10s',
    help: 'how long requests in flight may go on when their app is put to sleep by hand, removed, or stopped with its node; --drain of an app comes first',
  }),
  drainUpdate: setting('SHADOW_APP_DRAIN_UPDATE', durationMs, {
    default: '30s',
    help: 'the same when the definition of their app has changed',
  }),
  drainWithin: setting('SHADOW_NODE_DRAIN_WITHIN', durationMs, {
    default: '10s',
    help: 'how long requests in flight may go on when the node stops; the apps themselves go on',
  }),
  diskFloor: setting('SHADOW_DISK_FLOOR', sizeBytes, {
    default: '512MiB',
    help: 'so much of the disk is kept free: the app that has just written most is stopped before less is left',
  }),
  metricsListen: optionalSetting('SHADOW_METRICS_LISTEN', listenAddress('127.0.0.1'), {
    help: 'where Prometheus may ask for /metrics, such as 127.0.0.1:9464; left out: nowhere; shadow up shows front and node together',
  }),
  logLevel: setting('SHADOW_LOG_LEVEL', oneOf(...LOG_LEVELS), { default: 'info', help: 'least level that is logged' }),
}

/** Parser: a number from 1 on. */
function factor(value: string): number {
  const number = Number(value)
  if (/^\d+(\.\d+)?$/.test(value) && number >= 1) return number
  throw new ShadowError('bad-input', `"${value}" is not a number from 1 on`)
}

/** Parser: ports by commas, or `none`. */
function ports(value: string): readonly number[] {
  return value === 'none' ? [] : value.split(',').map(port => wholeNumber(1, 65_535)(port.trim()))
}

export type NodeproxyConfig = Values<typeof nodeproxySettings>

/** The name of this node: as it is set, or made from the name of the machine. */
export function nameOf(config: Pick<NodeproxyConfig, 'name'>): NodeName {
  if (config.name !== undefined) return config.name
  const label = hostname()
    .toLowerCase()
    .split('.', 1)[0]
    ?.replace(/[^a-z0-9-]+/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
  return nodeName(label || 'node')
}
