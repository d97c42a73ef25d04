import type { certificateCalls } from '../../api/certificate-calls.ts'
import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { CertificateOrder } from '../../model/domain-state.ts'
import { certificateName } from '../../model/ordered-certificate.ts'
import type { Handlers } from '../call.ts'
import { type CertificateRecords, INTERRUPTED, versionOf } from './certificates.ts'
import type { challengeRecords } from './challenges.ts'

/** What the handlers, and the master, need of certificates by ACME. */
export type AcmeParts = {
  readonly certificates: CertificateRecords
  readonly challenges: Pick<ReturnType<typeof challengeRecords>, 'find'>
  readonly byDns: readonly string[]
  readonly isUsed: (name: string) => Promise<boolean>
  /** A certificate is wanted that was not wanted before. */
  onWanted(name: string): void
  run(signal: AbortSignal): Promise<void>
  changed(key: string): void
}

type Parts = { readonly acme: AcmeParts | undefined; readonly clock: Clock }

/** The handlers of the calls by which fronts get certificates and the answers to challenges. */
export const certificateHandlers = ({ acme, clock }: Parts): Pick<Handlers, keyof typeof certificateCalls> => ({
  async wantCertificate({ params: { hostname }, body }) {
    const name = acme && certificateName(hostname, acme.byDns)
    if (acme === undefined || name === undefined) return { value: { state: 'none' } }
    const found = await acme.certificates.read(name)
    const { current, problem, nextAt } = found?.document ?? {}
    if (current !== undefined && Date.parse(current.until) > clock.wall()) {
      const version = versionOf(current)
      if (version === body.known) return { value: { state: 'ready' } }
      const key = acme.certificates.keyIn(name, current)
      return { value: { state: 'ready', certificate: { name, version, chain: current.chain, key } } }
    }
    if (!acme.byDns.includes(name) && !(await acme.isUsed(name))) return { value: { state: 'none' } }
    if (found === undefined) {
      await acme.certificates.want(name)
      acme.onWanted(name)
    }
    const hasFailed = problem !== undefined && problem !== INTERRUPTED && Date.parse(nextAt ?? '') > clock.wall()
    return { value: hasFailed ? { state: 'failed', problem } : { state: 'ordered' } }
  },

  async getChallenge({ params: { challenge } }) {
    const keyAuthorization = await acme?.challenges.find(challenge)
    if (keyAuthorization === undefined) throw new ShadowError('not-found', 'there is no such challenge')
    return { value: { keyAuthorization } }
  },
})

/** What became of the order of the certificate for a hostname. */
export const orderOf =
  (acme: AcmeParts | undefined) =>
  async (hostname: string): Promise<CertificateOrder | null> => {
    const name = acme && certificateName(hostname, acme.byDns)
    const found = name === undefined ? undefined : await acme?.certificates.read(name)
    if (name === undefined || found === undefined) return null
    const { current, problem = null, nextAt = null } = found.document
    return { name, until: current?.until ?? null, problem, nextAt: problem === null ? null : nextAt }
  }
