import type { Clock } from '../../lib/clock.ts'
import type { Seals } from '../../lib/seals.ts'
import type { MasterConfig } from '../config.ts'
import type { Storage } from '../storage/storage.ts'
import type { Tokens } from '../tokens.ts'
import { type DashboardHandlers, dashboardHandlers } from './handlers.ts'
import { oidcProvider } from './oidc/provider.ts'
import { oidcSettings } from './oidc/settings.ts'
import { oidcSignIn } from './oidc/sign-in.ts'
import { type DashboardSessions, dashboardSessions } from './sessions.ts'
import { dashboardSites } from './site.ts'

type Parts = {
  readonly config: MasterConfig
  readonly seals: Seals
  readonly tokens: Tokens
  readonly storage: Storage
  readonly clock: Clock
}

/** How people sign in to the dashboard, by the settings. */
export function openDashboard({ config, seals, tokens, storage, clock }: Parts): {
  readonly sessions: DashboardSessions
  readonly handlers: DashboardHandlers
} {
  const settings = oidcSettings(config)
  const sites = dashboardSites(config.dashboardUrl)
  const lastsMs = config.dashboardSession
  const sessions = dashboardSessions({ seals, tokens, sites, people: settings?.people, clock, lastsMs })
  const provider = settings && oidcProvider({ ...settings, clock })
  const oidc = settings && provider && oidcSignIn({ settings, provider, sessions, sites, seals, clock })
  return { sessions, handlers: dashboardHandlers({ sessions, sites, oidc, tokens, storage, clock }) }
}
