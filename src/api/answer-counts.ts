import type { NextHop } from '../lib/http/next-hop.ts'
import type { Held } from '../model/instance.ts'
import { countError, countLatency } from '../model/request-counts.ts'

/** Counts the answer to a request that is forwarded now: how late it begins, and whether it tells of an error. */
export function answerCounter({ requests }: Pick<Held, 'requests'>): NextHop['onAnswer'] {
  if (requests === undefined) return undefined
  const from = performance.now()
  return status => {
    countLatency(requests, performance.now() - from)
    if (status >= 500) countError(requests)
  }
}
