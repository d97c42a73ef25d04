import { lookup } from 'node:dns/promises'
import { request } from 'node:http'
import { ERROR_HEADER, WAKE_HEADER } from '../../api/paths.ts'
import { systemCode } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import { type Finding, ok, problem, warning } from './finding.ts'

const AT_ONCE = 16
const ANSWERED_WITHIN_MS = 5_000
/** Names that no name server knows: RFC 6761 and RFC 2606. */
const LOCAL = /(^|\.)(localhost|test|example|invalid|local)$/

/** Whether the hostnames of apps lead to a front. */
export async function domainFindings(apps: readonly App[], signal: AbortSignal): Promise<readonly Finding[]> {
  const domains = apps.flatMap(({ name, domains }) => domains.map(domain => ({ app: name, domain })))
  const open = domains.filter(({ domain }) => !LOCAL.test(domain))
  const found = await mapAtMost(AT_ONCE, open, one => look(one, signal))
  const value = `${domains.length - open.length} of ${domains.length} are names of this machine alone, such as blog.localhost`
  return found.length > 0 ? found : [ok({ check: 'domains', what: 'hostnames of apps', where: 'all', value })]
}

async function look({ app, domain }: { app: string; domain: string }, signal: AbortSignal): Promise<Finding> {
  const about = { check: 'domains', what: `the hostname of ${app}`, where: domain }
  const addresses = await addressesOf(domain)
  if (typeof addresses === 'string')
    return problem(
      { ...about, value: `no name server has an address for it (${addresses})` },
      `add an A or AAAA record for ${domain} with the address of a front, or: shadow update ${app} --remove-domain ${domain}`,
    )
  const value = addresses.join(', ')
  const answer = await isFront(domain, signal)
  if (answer === true) return ok({ ...about, value: `${value}: a front answers` })
  if (answer === false)
    return problem(
      { ...about, value: `${value}: something other than a front answers on port 80` },
      `let the record of ${domain} have the address of a front`,
    )
  return warning(
    { ...about, value: `${value}: ${answer} on port 80, as seen from here` },
    'is a front running there, and is the port open? SHADOW_LISTEN, firewall',
  )
}

async function addressesOf(domain: string): Promise<readonly string[] | string> {
  try {
    return (await lookup(domain, { all: true })).map(({ address }) => address)
  } catch (error) {
    return systemCode(error) ?? 'unknown'
  }
}

/** Whether a front of Shadow answers; without an answer, why. The request wakes nothing. */
function isFront(domain: string, signal: AbortSignal): Promise<boolean | string> {
  return new Promise(resolve => {
    const asked = request({
      host: domain,
      method: 'HEAD',
      path: '/',
      // A front refuses what has passed it so often, before it looks at the app: an answer of an app would not tell whose front it is.
      headers: { via: LOOPED, [WAKE_HEADER]: 'never', 'user-agent': 'shadow-doctor' },
      agent: false,
      signal,
      timeout: ANSWERED_WITHIN_MS,
    })
    asked
      .on('response', ({ headers, statusCode }) => {
        asked.destroy()
        resolve(
          headers[ERROR_HEADER] !== undefined ||
            (REDIRECTS.has(statusCode ?? 0) && headers.location?.startsWith(`https://${domain}/`) === true),
        )
      })
      .on('timeout', () => asked.destroy(new Error('no answer')))
      .on('error', error => resolve(systemCode(error) ?? error.message))
      .end()
  })
}

/** To HTTPS, where the app asks for that. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 308])
const LOOPED = Array.from({ length: 10 }, () => '1.1 shadow').join(', ')
