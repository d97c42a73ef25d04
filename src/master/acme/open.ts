import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../lib/log.ts'
import type { Seals } from '../../lib/seals.ts'
import type { MasterConfig } from '../config.ts'
import type { Lookup } from '../lookup.ts'
import type { Storage } from '../storage/storage.ts'
import { accountRecords } from './accounts.ts'
import { CERTIFICATES, certificateRecords } from './certificates.ts'
import { challengeRecords } from './challenges.ts'
import { acmeClient } from './client.ts'
import { dnsHook } from './dns-hook.ts'
import type { AcmeParts } from './handlers.ts'
import { Renewer } from './renewer.ts'
import { RenewerLease } from './renewer-lease.ts'
import { solverOf } from './solver.ts'
import { usedNames } from './used-names.ts'

type Given = {
  readonly config: MasterConfig
  readonly storage: Storage
  readonly seals: Seals
  readonly lookup: Pick<Lookup, 'atHost'>
  /** Tells the other masters that this document has changed. */
  readonly announce: (key: string) => void
  readonly clock: Clock
  readonly log: Log
}

/** Puts the room of certificates by ACME together; undefined: none are ordered. */
export function openAcme({ config, storage, seals, lookup, announce, clock, log }: Given): AcmeParts | undefined {
  const { acmeDirectory: directory, acmeDnsNames: byDns } = config
  if (directory === undefined) return undefined
  const certificates = certificateRecords({ storage, seals, clock })
  const challenges = challengeRecords({ storage, clock })
  const dns = config.acmeDnsHook && dnsHook({ url: config.acmeDnsHook, token: config.acmeDnsHookToken })
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
    solver: signal =>
      solverOf({ challenges, dns: dns || undefined, dnsWaitMs: config.acmeDnsWait, clock, log }, signal),
    lease: new RenewerLease(storage, clock),
    tidy: () => challenges.tidy(),
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
