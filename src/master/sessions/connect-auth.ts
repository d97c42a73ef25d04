import { askAuthUrl, PASSED_ON } from '../../api/forward-auth.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { asciiJson } from './tokens.ts'
import type { Connect } from './views.ts'

/**
 * Asks the URL of the template about the visitor that the caller connects for, before anything is made: what it says of the user counts. Nothing is asked
 * where the caller passes no visitor on. Fails with `connect-refused`, `auth-unreachable`.
 */
export async function withVerifiedUser(
  { name, template, domains }: App,
  asked: Connect,
  signal: AbortSignal,
): Promise<Connect> {
  const url = template?.authUrl
  if (url === undefined || asked.visitor === undefined) return asked
  const { headers, address } = asked.visitor
  const given = new Map(Object.entries(headers).map(([header, value]) => [header.toLowerCase(), value]))
  const passed = ['cookie', ...PASSED_ON].flatMap(header => {
    const value = given.get(header)
    return value === undefined ? [] : [[header, value] as const]
  })
  const { key, user, auth } = asked
  const verdict = await askAuthUrl(
    url,
    {
      ...Object.fromEntries(passed),
      'X-Forwarded-Method': 'POST',
      'X-Forwarded-Uri': '/v1/connect',
      'X-Forwarded-Host': domains[0] ?? '',
      ...(address !== undefined && { 'X-Forwarded-For': address }),
      'X-Shadow-Connect': asciiJson({ template: name, key, user, auth }),
    },
    signal,
  )
  if ('visitor' in verdict) return { ...asked, user: verdict.visitor.user ?? user }
  const { status } = verdict.answer
  throw new ShadowError(
    'connect-refused',
    `${new URL(url).host} does not let this visitor connect to ${name}: it answered ${status}`,
    {
      facts: { status },
    },
  )
}
