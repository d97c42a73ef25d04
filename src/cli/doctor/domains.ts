import { lookup } from 'node:dns/promises'
import { isFront } from '../../api/front-probe.ts'
import { systemCode } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import type { App } from '../../model/app.ts'
import { isLocalName } from '../../model/domain-state.ts'
import { type Finding, ok, problem, warning } from './finding.ts'

const AT_ONCE = 16

/** Whether the hostnames of apps lead to a front. */
export async function domainFindings(apps: readonly App[], signal: AbortSignal): Promise<readonly Finding[]> {
  const domains = apps.flatMap(({ name, domains }) => domains.map(domain => ({ app: name, domain })))
  const open = domains.filter(({ domain }) => !isLocalName(domain))
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
  const answer = await isFront(domain, { signal, agent: 'shadow-doctor' })
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
