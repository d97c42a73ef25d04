import { hash } from 'node:crypto'
import type { App } from '../../src/model/app.ts'
import { type Hostname, hostname } from '../../src/model/hostname.ts'
import type { AppName } from '../../src/model/names.ts'
import { NO_PLACE, type Route, routeOf } from '../../src/model/route.ts'
import { TASK_DEFAULTS, type TaskDefinition } from '../../src/model/task.ts'

const DOMAIN = '.apps.example.com'
const CREATED_AT = '2026-01-01T00:00:00.000Z'

/** The name of the app with this number. Nothing about an app is kept here: that would count as memory of the front. */
export const nameOf = (app: number): AppName => `app-${String(app).padStart(7, '0')}` as AppName
export const hostnameOf = (app: number): Hostname => hostname(asRead(nameOf(app) + DOMAIN))

/** The text as if it was read from a socket: V8 keeps text that was put together in pieces, which take more memory. */
export const asRead = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')

/** The definition of an app: the defaults, with a volume on storage that all nodes reach, and a quarter of its memory reserved. */
export const taskOf = (name: AppName): TaskDefinition =>
  ({
    app: name,
    revision: 1,
    image: 'image',
    env: {},
    port: TASK_DEFAULTS.port,
    volume: { id: name, size: '1GiB', path: TASK_DEFAULTS.volumePath, driver: 'pool' },
    limits: { memory: TASK_DEFAULTS.memory, reserve: '128MiB', cpus: 1, pids: TASK_DEFAULTS.pids },
    ready: { kind: 'port' },
    startWithin: TASK_DEFAULTS.startWithin,
    sleep: { idleAfter: TASK_DEFAULTS.idleAfter, grace: TASK_DEFAULTS.grace, webSockets: 'hold' },
    createdAt: CREATED_AT,
  }) as unknown as TaskDefinition

/** The route of the app with this hostname, as a master would answer. */
export function routeAt(host: Hostname): Route {
  const name = host.slice(0, -DOMAIN.length) as AppName
  const app: App = { name, domains: [host], createdAt: CREATED_AT, updatedAt: CREATED_AT, task: taskOf(name) }
  return routeOf(app, NO_PLACE, hash('sha256', name, 'base64url'))
}
