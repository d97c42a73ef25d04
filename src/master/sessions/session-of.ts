import { createHash } from 'node:crypto'
import type { App } from '../../model/app.ts'
import { toMs } from '../../model/quantities.ts'
import { type Session, type SessionKey, TEMPLATE_DEFAULTS, type Template, WARM_IDLE } from '../../model/session.ts'
import type { Connect } from './views.ts'

type Asked = { readonly key?: SessionKey | undefined; readonly spawn: NonNullable<Connect['spawn']> }

/** What a session gets from its template and from the caller that it is for. Its lifetime begins now. */
export function sessionOf(template: App, { key, spawn }: Asked, wall: number): Session {
  const rules: Template = template.template ?? TEMPLATE_DEFAULTS
  const { lifetime = rules.lifetime, idle, pool = rules.pool } = spawn
  return {
    template: template.name,
    ...(key && { key }),
    ...(lifetime !== undefined && { until: new Date(wall + toMs(lifetime)).toISOString() }),
    ...(idle !== undefined && { idle }),
    whenIdle: rules.whenIdle,
    visitors: rules.visitors,
    ...(rules.ports !== undefined && { ports: rules.ports }),
    ...(rules.authUrl !== undefined && { authUrl: rules.authUrl }),
    ...(pool !== undefined && { pool }),
    tokens: [],
  }
}

/** A session for the pool: nobody may visit it, and it has no lifetime. It never sleeps, so that one that has died is removed. */
export const warmSessionOf = (template: App): Session => ({
  template: template.name,
  whenIdle: 'end',
  idle: WARM_IDLE,
  visitors: 'token',
  ...(template.template?.pool && { pool: template.template.pool }),
  tokens: [],
  warm: { of: stampOf(template), ready: false },
})

/** Another one for each release of the template, and for each change of what is fixed when a session is made. */
export function stampOf({ createdAt, task, domains, template }: App): string {
  const text = JSON.stringify([createdAt, task.revision, domains, template?.pool, template?.volumeFrom])
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}
