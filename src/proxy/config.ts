import { BlockList, isIP } from 'node:net'
import { ShadowError } from '../lib/errors.ts'
import { LOG_LEVELS } from '../lib/log.ts'
import { listenAddress, oneOf, setting, text, url, type Values } from '../lib/settings.ts'
import { crewSize } from '../lib/threads/size.ts'
import { durationMs } from '../model/quantities.ts'

/** The settings of a front. */
export const proxySettings = {
  listen: setting('SHADOW_LISTEN', listenAddress('0.0.0.0'), {
    default: '0.0.0.0:8090',
    help: 'where visitors come in',
  }),
  data: setting('SHADOW_DATA', text, {
    default: '/var/lib/shadow',
    help: 'folder for what the front remembers: pins, routes, nodes',
  }),
  master: setting('SHADOW_MASTER', url, { default: 'http://127.0.0.1:8080', help: 'where the master is' }),
  token: setting('SHADOW_TOKEN', text, { help: 'a token of the role proxy (shadow token create --role proxy)' }),
  waitingPageAfter: setting('SHADOW_WAITING_PAGE_AFTER', durationMs, {
    default: '1s',
    help: 'a browser whose app is not ready by then is shown the waiting page; everything else just waits',
  }),
  trustedProxies: setting('SHADOW_TRUSTED_PROXIES', networks, {
    default: 'none',
    help: 'addresses or networks (10.0.0.0/8), with commas, whose X-Forwarded-* headers are believed',
  }),
  connectWithin: setting('SHADOW_CONNECT_WITHIN', durationMs, {
    default: '5s',
    help: 'a node or an app that takes longer to accept a connection counts as unreachable',
  }),
  stalledAfter: setting('SHADOW_STALLED_AFTER', durationMs, {
    default: '5m',
    help: 'a client that neither takes nor gives a byte for so long, though it should, is cut',
  }),
  drainWithin: setting('SHADOW_DRAIN_WITHIN', durationMs, {
    default: '30s',
    help: 'how long requests in flight may go on when the front stops',
  }),
  workers: setting('SHADOW_WORKERS', crewSize, {
    default: 'auto',
    help: 'threads that serve, sharing the port: a number, or auto for one less than there are cores, at least 1, at most 8',
  }),
  logLevel: setting('SHADOW_LOG_LEVEL', oneOf(...LOG_LEVELS), { default: 'info', help: 'least level that is logged' }),
}

export type ProxyConfig = Values<typeof proxySettings>

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
