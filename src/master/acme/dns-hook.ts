import { OrderError } from './authority.ts'

/** Sets and clears TXT records. Both calls may be repeated. Several values of one record may be set at a time. */
export interface TxtRecords {
  set(record: string, value: string): Promise<void>
  clear(record: string, value: string): Promise<void>
}

const WITHIN_MS = 60_000
const TTL_SECONDS = 60

/** Calls an URL of the operator, who knows how to change the zone: see docs/https.md for the JSON. */
export function dnsHook({ url, token }: { readonly url: string; readonly token: string | undefined }): TxtRecords {
  const call = async (action: 'set' | 'clear', name: string, value: string): Promise<void> => {
    const failed = (why: string, cause?: unknown): OrderError =>
      new OrderError(`the DNS hook could not ${action} the TXT record ${name}: ${why}`, { cause })
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    const body = JSON.stringify({ action, type: 'TXT', name, value, ttl: TTL_SECONDS })
    const answer = await fetch(url, {
      ...{ method: 'POST', headers, body, redirect: 'error' },
      signal: AbortSignal.timeout(WITHIN_MS),
    }).catch(cause => {
      throw failed((cause as { cause?: Error }).cause?.message ?? (cause as Error).message, cause)
    })
    const said = (await answer.text().catch(() => '')).trim().slice(0, 200)
    if (!answer.ok) throw failed(`it answered ${answer.status}${said === '' ? '' : `: ${said}`}`)
  }
  return { set: (record, value) => call('set', record, value), clear: (record, value) => call('clear', record, value) }
}
