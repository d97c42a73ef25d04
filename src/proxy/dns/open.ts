import type { MasterClient } from '../../api/client.ts'
import type { Clock } from '../../lib/clock.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Hostname } from '../../model/hostname.ts'
import type { LocalStore } from '../local-store.ts'
import type { LookupLimit } from '../lookup-limit.ts'
import { Announcer } from './announcer.ts'
import type { DnsConfig } from './config.ts'
import { NameServer } from './name-server.ts'

type Given = {
  readonly config: DnsConfig
  readonly master: Pick<MasterClient, 'call'>
  readonly front: string
  readonly store: LocalStore
  /** Bounds the calls to masters that questions of strangers cause. */
  readonly lookups: Pick<LookupLimit, 'mayLookUp'>
  readonly clock: Clock
  readonly log: Log
}

/** The part of a front that tells where it is reached, and answers questions of DNS. */
export type FrontDns = AsyncDisposable & {
  /** Where its name server listens; undefined: it has none. */
  readonly listens: { readonly address: string; readonly port: number } | undefined
  readonly server: Pick<NameServer, 'answered' | 'limited'> | undefined
  run(signal: AbortSignal): Promise<void>
  leave(): Promise<void>
}

/** Fails with `bad-input` if it cannot listen. undefined: the front has no public address, and is no name server. */
export async function openDns(given: Given): Promise<FrontDns | undefined> {
  const { config, master, front, store, lookups, clock, log } = given
  const { publicAddresses: addresses, dnsListen } = config
  if (addresses.length === 0) {
    if (dnsListen === undefined) return undefined
    throw new ShadowError('bad-input', 'settings are wrong: SHADOW_DNS_LISTEN needs SHADOW_PUBLIC_ADDRESSES', {
      hint: 'shadow help settings',
    })
  }
  const announcer = new Announcer({
    ...{ master, front, addresses, isNameServer: dnsListen !== undefined, store, clock, log },
  })
  const texts = async (hostname: Hostname): Promise<readonly string[] | undefined> => {
    if (!lookups.mayLookUp(() => false)) return undefined
    try {
      return (await master.call('getTexts', { params: { hostname } })).texts
    } catch (cause) {
      log.debug('TXT records not read', { code: asShadowError(cause).code, cause })
      return undefined
    }
  }
  const server = dnsListen && new NameServer({ view: () => announcer.view, texts, clock, log })
  const listening = dnsListen && (await server?.listen(dnsListen))
  return {
    listens: listening && { address: listening.address, port: listening.port },
    server,
    run: signal => announcer.run(signal),
    leave: () => announcer.leave(),
    [Symbol.asyncDispose]: async () => listening?.[Symbol.asyncDispose](),
  }
}
