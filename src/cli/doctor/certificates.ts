import { X509Certificate } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '../../lib/errors.ts'
import { type Check, type Finding, ok, problem, warning } from './finding.ts'

const DAY_MS = 86_400_000
/** A certificate of a hostname that lasts for less is one whose renewal does not work: certbot renews 30 days ahead. */
const RENEWED_AHEAD_MS = 14 * DAY_MS

type Options = { readonly data: string; readonly folder: string | undefined; readonly now: number }

/** Until when the certificates of this machine are good: those of hostnames, and the one by which it is a member of a cluster. */
export const certificatesCheck = ({ data, folder, now }: Options): Check => ({
  name: 'certificates',
  async run() {
    const files = await chainsIn(folder ?? join(data, 'certificates'))
    const ofHosts = await Promise.all(files.map(async file => ofHost(file, await readFile(file, 'utf8'), now)))
    const ofMember = await Promise.all(
      ['node', 'proxy'].map(role => ofMembership(join(data, role, 'member.json'), now)),
    )
    return [...ofHosts, ...ofMember.flat()]
  },
})

async function chainsIn(folder: string): Promise<readonly string[]> {
  try {
    const names = (await readdir(folder, { recursive: true })).map(String)
    return names.filter(name => /(^|\/)fullchain\.pem$|\.crt$/.test(name)).map(name => join(folder, name))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return []
    throw error
  }
}

function ofHost(file: string, chain: string, now: number): Finding {
  const about = { check: 'certificates', what: 'a certificate of the front', where: file }
  const [certificate, fault] = parsed(chain)
  if (certificate === undefined)
    return problem({ ...about, value: fault }, 'put the chain there as PEM, the certificate of the hostname first')
  const renew = 'renew it (certbot renew), and see why that was not done by itself: systemctl list-timers'
  return judged(
    { ...about, what: `the certificate of ${names(certificate)}` },
    certificate,
    now,
    RENEWED_AHEAD_MS,
    renew,
  )
}

async function ofMembership(file: string, now: number): Promise<readonly Finding[]> {
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return []
  const about = { check: 'certificates', what: 'the certificate of this machine in the cluster', where: file }
  const [certificate, fault] = parsed(String(JSON.parse(text).certificate))
  if (certificate === undefined)
    return [problem({ ...about, value: fault }, 'join the cluster again: shadow node join')]
  const lasts = Date.parse(certificate.validTo) - Date.parse(certificate.validFrom)
  const renew =
    'it is renewed by the running daemon: is it running, and does it reach a master? once it is over: shadow node join'
  return [judged(about, certificate, now, lasts / 6, renew)]
}

/** Says until when a certificate is good; it should have been renewed `aheadMs` before its end. */
function judged(
  about: { readonly check: string; readonly what: string; readonly where: string },
  { validFrom, validTo }: Pick<X509Certificate, 'validFrom' | 'validTo'>,
  now: number,
  aheadMs: number,
  renew: string,
): Finding {
  const left = Date.parse(validTo) - now
  const until = new Date(validTo).toISOString()
  if (Date.parse(validFrom) > now)
    return problem(
      { ...about, value: `good from ${new Date(validFrom).toISOString()} on` },
      'set the clock: timedatectl',
    )
  if (left <= 0) return problem({ ...about, value: `over since ${until}` }, renew)
  const value = `good until ${until}`
  return left < aheadMs ? warning({ ...about, value }, renew) : ok({ ...about, value })
}

function parsed(pem: string): readonly [X509Certificate, ''] | readonly [undefined, string] {
  try {
    return [new X509Certificate(pem), '']
  } catch (error) {
    return [undefined, `cannot be read: ${(error as Error).message}`]
  }
}

const names = ({ subjectAltName, subject }: X509Certificate): string =>
  [...(subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map(([, name]) => name).join(', ') || subject
