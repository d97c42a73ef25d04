import type { App } from '../../model/app.ts'
import { toBytes } from '../../model/quantities.ts'
import { type Sandbox, type Session, sessionParts } from '../../model/session.ts'

/** A sandbox: a session that was made by this API. */
export type SandboxApp = App & { readonly session: Session & { readonly sandbox: Sandbox } }

export const isSandbox = (app: App): app is SandboxApp => app.session?.sandbox !== undefined

/**
 * The version of E2B's agent whose calls we have: clients look at it before they use one. Since 0.5.7 files are sent as they are, since 0.6.3 a watch
 * tells entries.
 */
const ENVD_VERSION = '0.6.4'
const MIB = 2 ** 20

export const idOf = ({ name }: App): string => sessionParts(name)?.slot ?? name

/** `running` or `paused`. */
export const stateOf = ({ paused }: App): 'running' | 'paused' => (paused === undefined ? 'running' : 'paused')

const sizes = ({ task: { limits, volume } }: App) => ({
  cpuCount: Math.max(1, Math.ceil(limits.cpus)),
  memoryMB: Math.round(toBytes(limits.memory) / MIB),
  diskSizeMB: volume === undefined ? 0 : Math.round(toBytes(volume.size) / MIB),
})

const base = (app: SandboxApp) => ({
  sandboxID: idOf(app),
  templateID: app.session.template,
  alias: app.session.template,
  clientID: 'shadow',
  envdVersion: ENVD_VERSION,
})

/** As a list shows it. */
export const listed = (app: SandboxApp) => ({
  ...base(app),
  startedAt: app.createdAt,
  // Of one that is paused its time does not run.
  endAt: app.session.until ?? app.paused?.at ?? app.createdAt,
  state: stateOf(app),
  ...sizes(app),
  metadata: app.session.sandbox.metadata,
  volumeMounts: [],
})

/** With all that is known of it, but its tokens. */
export const detailed = (app: SandboxApp, front: string | undefined) => ({
  ...listed(app),
  domain: domainOf(app, front),
  lifecycle: { autoResume: false, onTimeout: app.session.sandbox.atTimeout === 'pause' ? 'pause' : 'kill' },
})

/** For whoever works with it. */
export const opened = (
  app: SandboxApp,
  front: string | undefined,
  tokens: { readonly access: string; readonly traffic: string },
) => ({
  ...base(app),
  domain: domainOf(app, front),
  envdAccessToken: tokens.access,
  ...(app.session.visitors === 'token' && { trafficAccessToken: tokens.traffic }),
})

/** What clients write behind `PORT-ID.`: the hostname of the template, with the port of the fronts. */
function domainOf({ domains: [host] }: App, front: string | undefined): string | null {
  if (host === undefined) return null
  const parent = host.slice(host.indexOf('.') + 1)
  const port = front === undefined ? '' : new URL(front).port
  return port === '' ? parent : `${parent}:${port}`
}
