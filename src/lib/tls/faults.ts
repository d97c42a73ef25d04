import { systemCode } from '../errors.ts'

const OF_ANOTHER_CA = [
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
]

/** Why a certificate was not trusted, as a sentence about `whose`; undefined if the error is about something else. `now`: for the sentence. */
export function whyNotTrusted(error: unknown, whose: string, now = Date.now()): string | undefined {
  const code = typeof error === 'string' ? error : systemCode(error)
  if (code === undefined) return undefined
  const clock = `by the clock of this machine, which says ${new Date(now).toISOString()}; is it right?`
  if (code === 'CERT_NOT_YET_VALID') return `${whose} is not valid yet ${clock}`
  if (code === 'CERT_HAS_EXPIRED') return `${whose} has expired ${clock}`
  if (OF_ANOTHER_CA.includes(code)) return `${whose} is of another CA`
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `${whose} is for another name: ${(error as Error).message}`
  return undefined
}
