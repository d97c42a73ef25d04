import { ShadowError } from '../../../lib/errors.ts'
import { url } from '../../../lib/settings.ts'
import { fileText, type People } from './people.ts'

/** How people sign in by OpenID Connect. */
export type OidcSettings = {
  readonly issuer: string
  readonly name: string
  readonly clientId: string
  readonly clientSecret: string | undefined
  readonly people: People
  readonly groupsClaim: string
}

/** Parses the URL of a provider: https, or http on this machine. */
export function issuerUrl(value: string): string {
  const issuer = url(value)
  const { protocol, hostname } = new URL(issuer)
  if (protocol === 'https:' || /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname)) return value
  throw new ShadowError('bad-input', `"${value}" must be an https:// URL: whoever reads the way could sign in`)
}

type Given = {
  readonly oidcIssuer?: string | undefined
  readonly oidcName?: string | undefined
  readonly oidcClientId?: string | undefined
  readonly oidcClientSecret?: string | undefined
  readonly oidcClientSecretFile?: string | undefined
  readonly oidcPeople?: People | undefined
  readonly oidcGroups: string
}

/** The settings of OIDC; undefined if there are none. Fails with `bad-input` if only some are given. */
export function oidcSettings(given: Given): OidcSettings | undefined {
  const { oidcIssuer: issuer, oidcClientId: clientId, oidcPeople: people } = given
  if (issuer === undefined && clientId === undefined && people === undefined) return undefined
  if (issuer === undefined || clientId === undefined || people === undefined)
    throw new ShadowError(
      'bad-input',
      'settings are wrong: SHADOW_OIDC_ISSUER, SHADOW_OIDC_CLIENT_ID and SHADOW_OIDC_PEOPLE go together',
      { hint: 'shadow help settings' },
    )
  const { oidcClientSecretFile: file, oidcClientSecret, oidcName, oidcGroups } = given
  const clientSecret = file === undefined ? oidcClientSecret : fileText(file).trim()
  return { issuer, name: oidcName ?? new URL(issuer).host, clientId, clientSecret, people, groupsClaim: oidcGroups }
}
