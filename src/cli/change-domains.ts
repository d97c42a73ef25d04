import type { MasterClient } from '../api/client.ts'
import { type Fault, ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { type Hostname, hostname } from '../model/hostname.ts'
import { STRICT, updateApp } from './change-app.ts'
import { mustBeThere, parsedFlag } from './command-options.ts'

export type DomainFlags = { readonly addDomain?: readonly string[]; readonly removeDomain?: readonly string[] }

/** Adds and removes domains of an app, in the same update as the patch. */
export const updateDomains = (
  master: MasterClient,
  name: string,
  patch: Record<string, unknown>,
  flags: DomainFlags & { readonly note?: string },
): Promise<App> =>
  updateApp(
    master,
    name,
    ({ domains }) => {
      const removed = removedOf(name, domains, flags.removeDomain)
      const kept = domains.filter(domain => !removed.includes(domain))
      return { ...patch, domains: [...new Set<string>([...kept, ...(flags.addDomain ?? [])])] }
    },
    { ...STRICT, note: flags.note },
  )

/** The domains to remove, in canonical form. Fails with `bad-input` or `not-found`, which names each wrong one. */
function removedOf(name: string, domains: readonly Hostname[], given: readonly string[] = []): readonly Hostname[] {
  const flag = '--remove-domain'
  const faults: Fault[] = []
  const removed = given.flatMap(text => parsedFlag(flag, hostname, text, faults) ?? [])
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  mustBeThere(
    name,
    removed
      .filter(domain => !domains.includes(domain))
      .map(domain => ({ field: flag, message: `it has no domain ${domain}` })),
  )
  return removed
}
