import type { App } from '../model/app.ts'
import type { HoldRequest } from '../model/instance.ts'
import { appName, volumeId } from '../model/names.ts'
import { duration, size } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'

/** A task definition with a volume, for tests. */
export function aTask(changes: Partial<TaskDefinition> = {}): TaskDefinition {
  return {
    app: appName('blog'),
    revision: 1,
    image: 'blog',
    env: {},
    port: 8000,
    volume: { id: volumeId('blog'), size: size('32MiB'), path: '/data' },
    limits: { memory: size('64MiB'), cpus: 1, pids: 64 },
    ready: { kind: 'port' },
    startWithin: duration('60s'),
    sleep: { idleAfter: duration('5m'), grace: duration('1s'), webSockets: 'hold' },
    createdAt: '2026-01-01T00:00:00.000Z',
    ...changes,
  }
}

/** An app of this task, for tests. */
export const anApp = (task = aTask()): App => ({
  name: task.app,
  domains: [],
  task,
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
})

/** A hold request of a plain HTTP request, for tests. */
export const aHoldRequest = (changes: Partial<HoldRequest> = {}): HoldRequest => ({
  kind: 'request',
  what: 'GET /',
  bytes: 100,
  mayWake: true,
  ...changes,
})
