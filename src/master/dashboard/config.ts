import { optionalSetting, setting, text } from '../../lib/settings.ts'
import { durationMs } from '../../model/quantities.ts'
import { people } from './oidc/people.ts'
import { issuerUrl } from './oidc/settings.ts'
import { originUrl } from './site.ts'

/** The settings of the master that are about the dashboard. */
export const dashboardSettings = {
  dashboardUrl: optionalSetting('SHADOW_DASHBOARD_URL', originUrl, {
    help: 'address of the dashboard for people, such as https://shadow.example.com, if a proxy in front of the master ends TLS; that proxy has to pass the Host; left out: nobody signs in over plain HTTP, except on this machine',
  }),
  dashboardSession: setting('SHADOW_DASHBOARD_SESSION', durationMs, {
    default: '12h',
    help: 'how long a person stays signed in to the dashboard without using it',
  }),
  oidcIssuer: optionalSetting('SHADOW_OIDC_ISSUER', issuerUrl, {
    help: 'people sign in to the dashboard by this provider of OpenID Connect, such as https://accounts.google.com, too; its redirect URI is /v1/dashboard/oidc/callback at the dashboard',
  }),
  oidcName: optionalSetting('SHADOW_OIDC_NAME', text, {
    help: 'name of that provider for people; left out: its host',
  }),
  oidcClientId: optionalSetting('SHADOW_OIDC_CLIENT_ID', text, {
    help: 'id that the provider has given to the dashboard',
  }),
  oidcClientSecret: optionalSetting('SHADOW_OIDC_CLIENT_SECRET', text, {
    help: 'secret that the provider has given with it; left out: none, the provider relies on PKCE',
  }),
  oidcClientSecretFile: optionalSetting('SHADOW_OIDC_CLIENT_SECRET_FILE', text, {
    help: 'file with that secret, instead',
  }),
  oidcPeople: optionalSetting('SHADOW_OIDC_PEOPLE', people, {
    help: 'who may do what, the first that fits: ann@example.com=admin; group:ops=admin; bob@example.com=owner:bob:bob-*,shared; or the path of a file with one on each line; an e-mail address counts if the provider has verified it',
  }),
  oidcGroups: setting('SHADOW_OIDC_GROUPS', text, {
    default: 'groups',
    help: 'claim of the provider that lists the groups of a person',
  }),
}
