import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Seals } from '../../lib/seals.ts'
import type { MasterConfig } from '../config.ts'
import type { Dns } from '../dns/open.ts'
import type { Lookup } from '../lookup.ts'
import { MasterLease } from '../master-lease.ts'
import type { Storage } from '../storage/storage.ts'
import { accountRecords } from './accounts.ts'
import { CERTIFICATES, certificateRecords } from './certificates.ts'
import { challengeRecords } from './challenges.ts'
import { acmeClient } from './client.ts'
import { dnsHook } from './dns-hook.ts'
import { dnsUpdateOptions } from './dns-settings.ts'
import { dnsUpdates } from './dns-update.ts'
import type { AcmeParts } from './handlers.ts'
import { ownRecords } from './own-dns.ts'
import { Renewer } from './renewer.ts'
import { solverOf } from './solver.ts'
import { usedNames } from './used-names.ts'

type Given = {
  readonly config: MasterConfig
  readonly storage: Storage
  readonly seals: Seals
  readonly lookup: Pick<Lookup, 'atHost'>
  readonly dns: Dns
  /** Tells the other masters that this document has changed. */
  readonly announce: (key: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** Puts the room of certificates by ACME together; undefined: none are ordered. */
export function openAcme({ config, storage, seals, lookup, dns, announce, clock, log }: Given): AcmeParts | undefined {
  const { acmeDirectory: directory, acmeDnsNames: byDns } = config
  const updates = dnsUpdateOptions(config)
  if (directory === undefined) return undefined
  const certificates = certificateRecords({ storage, seals, clock })
  const challenges = challengeRecords({ storage, clock })
  const hook = config.acmeDnsHook && dnsHook({ url: config.acmeDnsHook, token: config.acmeDnsHookToken })
  const elsewhere = updates ? dnsUpdates({ ...updates, clock }) : hook
  const records = (signal: AbortSignal) =>
    elsewhere
      ? { dns: elsewhere, dnsWaitMs: config.acmeDnsWait }
      : // Every name server of the fronts shows a record as soon as it is stored.
        { dns: ownRecords({ ...dns, clock }, signal), dnsWaitMs: 0 }
  const isUsed = usedNames(lookup)
  const changed = (name: string): void => announce(certificates.keyOf(name))
  const renewer = new Renewer({
    authority: acmeClient({
      directory,
      accounts: accountRecords({ storage, seals, clock }),
      email: config.acmeEmail,
      binding: config.acmeAccountBinding,
      ca: config.acmeCa,
    }),
    certificates,
    solver: signal => solverOf({ challenges, ...records(signal), clock, log }, signal),
    lease: new MasterLease({ storage, key: 'acme/renewer.json', lastsMs: 60_000, clock }),
    tidy: async () => {
      await challenges.tidy()
      await dns.texts.tidy()
    },
    byDns,
    isUsed,
    newPerHour: config.acmeNewPerHour,
    announce: changed,
    clock,
    log,
  })
  return {
    certificates,
    challenges,
    byDns,
    isUsed,
    onWanted(name) {
      renewer.changed()
      changed(name)
    },
    run: signal => renewer.run(signal),
    changed(key) {
      if (key.startsWith(CERTIFICATES)) renewer.changed()
    },
  }
}
