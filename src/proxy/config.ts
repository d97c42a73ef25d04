import { BlockList, isIP } from 'node:net'
import { ShadowError } from '../lib/errors.ts'
import { LOG_LEVELS } from '../lib/log.ts'
import { listenAddress, oneOf, optionalSetting, setting, text, url, type Values, wholeNumber } from '../lib/settings.ts'
import { poolSize } from '../lib/threads/size.ts'
import { tracingSettings } from '../lib/tracing/settings.ts'
import { hsts, httpsMode } from '../model/access.ts'
import { durationMs, sayBytes, sizeBytes } from '../model/quantities.ts'
import { dnsSettings } from './dns/config.ts'
import { fleetSettings } from './fleet/config.ts'
import { portRanges } from './tcp/port-ranges.ts'

const KIB = 1_024

/** The settings of a front. */
export const proxySettings = {
  listen: setting('SHADOW_LISTEN', listenAddress('0.0.0.0'), {
    default: '0.0.0.0:8090',
    help: 'address that the front listens on for HTTP',
  }),
  tlsListen: optionalSetting('SHADOW_TLS_LISTEN', listenAddress('0.0.0.0'), {
    help: 'address that the front listens on for HTTPS, such as 0.0.0.0:443; left out: no HTTPS',
  }),
  tlsCertificates: optionalSetting('SHADOW_TLS_CERTIFICATES', text, {
    help: 'folder of certificates: HOSTNAME/fullchain.pem and privkey.pem, or HOSTNAME.crt and .key; each serves all names it is valid for, default serves all others; left out: the folder certificates in SHADOW_DATA',
  }),
  tlsHandshakeWithin: setting('SHADOW_TLS_HANDSHAKE_WITHIN', durationMs, {
    default: '10s',
    help: 'a client that has not finished its TLS handshake by then is disconnected',
  }),
  https: setting('SHADOW_HTTPS', httpsMode, {
    default: 'both',
    help: 'for apps without shadow access --https: redirect sends visitors of plain HTTP on to HTTPS, both serves them',
  }),
  hsts: setting('SHADOW_HSTS', hsts, {
    default: 'off',
    help: 'for apps without shadow access --hsts: how long browsers must use HTTPS only (Strict-Transport-Security), such as 365d',
  }),
  data: setting('SHADOW_DATA', text, {
    default: '/var/lib/shadow',
    help: 'data folder of the front: pins, routes, nodes',
  }),
  master: optionalSetting('SHADOW_MASTER', url, {
    help: 'URL of the master; left out: the one by which this machine joined the cluster, or http://127.0.0.1:8080',
  }),
  token: optionalSetting('SHADOW_TOKEN', text, {
    help: 'without a cluster, a token of the role proxy (shadow token create --role proxy)',
  }),
  waitingPageAfter: setting('SHADOW_WAITING_PAGE_AFTER', durationMs, {
    default: '1s',
    help: 'a browser whose app is not ready by then is shown the waiting page; other clients wait',
  }),
  trustedProxies: setting('SHADOW_TRUSTED_PROXIES', networks, {
    default: 'none',
    help: 'addresses or networks (10.0.0.0/8), separated by commas, whose X-Forwarded-* and Forwarded headers are believed',
  }),
  connectWithin: setting('SHADOW_CONNECT_WITHIN', durationMs, {
    default: '5s',
    help: 'a node or an app that takes longer to accept a connection is unreachable',
  }),
  connections: setting('SHADOW_CONNECTIONS', wholeNumber(1, 1_000_000), {
    default: '20000',
    help: 'how many connections of clients may be open; for one more, the longest idle one is closed; if none is idle it gets 503',
  }),
  connectionsPerAddress: setting('SHADOW_CONNECTIONS_PER_ADDRESS', wholeNumber(1, 1_000_000), {
    default: '1000',
    help: 'how many connections one address (of IPv6: one /64) may have, and how many HTTP/2 requests at a time; more get 429; trusted proxies have no such limit',
  }),
  waitingPerApp: setting('SHADOW_WAITING_PER_APP', wholeNumber(1, 1_000_000), {
    default: '1000',
    help: 'how many requests may wait for one app: at the node for its wake, at the front for a request in flight to end; more get 503 queue-full',
  }),
  lookUps: setting('SHADOW_LOOK_UPS', wholeNumber(1, 1_000_000), {
    default: '100',
    help: 'how many hostnames that it has never seen the front looks up in a second, with a burst of ten times as many; the others get 404',
  }),
  requestsPerConnection: setting('SHADOW_REQUESTS_PER_CONNECTION', wholeNumber(1, 1_000_000_000), {
    default: '10000',
    help: 'how many requests a connection may carry before it is closed',
  }),
  keepAlive: setting('SHADOW_KEEP_ALIVE', durationMs, {
    default: '75s',
    help: 'a connection without a request for this long is closed',
  }),
  headWithin: setting('SHADOW_HEAD_WITHIN', durationMs, {
    default: '30s',
    help: 'the head of a request must be complete this long after its first byte; otherwise 408',
  }),
  headSize: setting('SHADOW_HEAD_SIZE', sizeBetween(4 * KIB, 128 * KIB), {
    default: '32KiB',
    help: 'largest head of a request, 4KiB to 128KiB; larger ones get 431',
  }),
  headFields: setting('SHADOW_HEAD_FIELDS', wholeNumber(16, 512), {
    default: '128',
    help: 'most fields in a head, 16 to 512; more get 431',
  }),
  targetSize: setting('SHADOW_TARGET_SIZE', sizeBetween(1 * KIB, 64 * KIB), {
    default: '16KiB',
    help: 'longest request line (method and target together), 1KiB to 64KiB; longer ones get 414',
  }),
  bodySize: optionalSetting('SHADOW_BODY_SIZE', sizeBytes, {
    help: 'largest body of a request; larger ones get 413; left out: no limit',
  }),
  leastRate: setting('SHADOW_LEAST_RATE', bytesPerSecond, {
    default: '240B',
    help: 'least bytes a second of a body, over a minute in which the other side was ready; a slower one gets 408, or is disconnected; 0: no limit',
  }),
  stalledAfter: setting('SHADOW_STALLED_AFTER', durationMs, {
    default: '5m',
    help: 'a client that is due to send or receive and moves no byte for this long is disconnected',
  }),
  drainWithin: setting('SHADOW_DRAIN_WITHIN', durationMs, {
    default: '30s',
    help: 'how long requests in flight may go on when the front stops',
  }),
  workers: setting('SHADOW_WORKERS', poolSize, {
    default: 'auto',
    help: 'how many threads serve, all on one port: a number, or auto: one less than there are cores, at least 1 and at most 8',
  }),
  tcpPorts: setting('SHADOW_TCP_PORTS', portRanges, {
    default: '10000-19999',
    help: 'ports that apps may have opened on this front for raw TCP (shadow port), on the host of SHADOW_LISTEN: ports and ranges separated by commas, or none',
  }),
  tcpConnections: setting('SHADOW_TCP_CONNECTIONS', wholeNumber(1, 1_000_000), {
    default: '5000',
    help: 'how many connections by those ports may be open at this front',
  }),
  metricsListen: optionalSetting('SHADOW_METRICS_LISTEN', listenAddress('127.0.0.1'), {
    help: 'address that serves /metrics for Prometheus, such as 127.0.0.1:9464; left out: none',
  }),
  ...dnsSettings,
  ...fleetSettings,
  ...tracingSettings,
  logLevel: setting('SHADOW_LOG_LEVEL', oneOf(...LOG_LEVELS), {
    default: 'info',
    help: 'lowest level that is logged: debug, info, warn, error or silent',
  }),
}

export type ProxyConfig = Values<typeof proxySettings>

/** Parser: a size between the two, both included. */
function sizeBetween(least: number, most: number): (value: string) => number {
  return value => {
    const bytes = sizeBytes(value)
    if (bytes < least || bytes > most)
      throw new ShadowError('bad-input', `"${value}" is not a size from ${sayBytes(least)} to ${sayBytes(most)}`)
    return bytes
  }
}

/** Parser: a size that passes in a second, or 0. */
function bytesPerSecond(value: string): number {
  return value === '0' ? 0 : sizeBytes(value)
}

/** Parser: networks as a list to look addresses up in. */
function networks(value: string): BlockList {
  const list = new BlockList()
  for (const one of value === 'none' ? [] : value.split(',')) {
    const [address = '', prefix] = one.trim().split('/')
    const family = { 4: 'ipv4', 6: 'ipv6' }[isIP(address)] as 'ipv4' | 'ipv6' | undefined
    const bits = prefix === undefined ? undefined : Number(prefix)
    if (family === undefined || (bits !== undefined && !(bits >= 0 && bits <= (family === 'ipv4' ? 32 : 128))))
      throw new ShadowError('bad-input', `"${one.trim()}" is neither an IP address nor a network such as 10.0.0.0/8`)
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, bits, family)
  }
  return list
}
