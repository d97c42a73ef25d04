import type { MasterClient } from '../api/client.ts'
import { type Fault, isFailure, ShadowError } from '../lib/errors.ts'
import { json } from '../lib/http/api/call.ts'
import type { App } from '../model/app.ts'
import { type Hostname, hostname } from '../model/hostname.ts'
import { mustBeThere, parsedFlag } from './command-options.ts'
import { DIGESTS } from './printable.ts'

export type DomainFlags = { readonly addDomain?: readonly string[]; readonly removeDomain?: readonly string[] }

const TRIES = 5
/** Removing a missing variable or domain is an error: it is a typing mistake, or somebody else has already removed it. */
export const STRICT = { strict: 'true', ...DIGESTS } as const
// A node may have to pull the image first.
export const NO_DEADLINE = (): AbortSignal => new AbortController().signal

/** Adds and removes domains of an app, in the same update as the patch. */
// The patch replaces the list. If-Match makes it fail if somebody changed the list in between; then it is tried again.
export async function updateDomains(
  master: MasterClient,
  name: string,
  patch: Record<string, unknown>,
  flags: DomainFlags & { readonly note?: string },
): Promise<App> {
  for (let tries = 1; ; tries++) {
    const answer = await master.raw('getApp', { params: { app: name }, query: DIGESTS })
    const { domains } = (await json(answer)) as App
    const removed = removedOf(name, domains, flags.removeDomain)
    const kept = domains.filter(domain => !removed.includes(domain))
    const body = { ...patch, domains: [...new Set<string>([...kept, ...(flags.addDomain ?? [])])] }
    try {
      const headers = { 'if-match': answer.headers.etag ?? '*' }
      return await master.call('updateApp', {
        params: { app: name },
        body,
        headers,
        query: { ...STRICT, note: flags.note },
        signal: NO_DEADLINE(),
      })
    } catch (error) {
      if (!isFailure(error, 'changed') || tries === TRIES) throw error
    }
  }
}

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
