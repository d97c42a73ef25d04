import { ShadowError } from '../lib/errors.ts'
import { sayMs, toMs } from '../model/quantities.ts'
import type { TaskDefinition } from '../model/task.ts'
import { withLinesOf } from './postmortem.ts'
import type { Container, Runtime } from './runtime/runtime.ts'
import { sayWrongPort, type WrongPort } from './wrong-port.ts'

type Parts = { readonly runtime: Runtime }

/** Why an app is given up that was not ready within its deadline. `said`: what it last answered to the check of its readiness. */
export async function notReady(
  task: TaskDefinition,
  container: Container,
  said: string | undefined,
  parts: Parts,
): Promise<ShadowError> {
  const within = sayMs(toMs(task.startWithin))
  const last = said === undefined ? '' : `; its last answer was ${said}`
  const wrong = sayWrongPort(task, await parts.runtime.listening(container))
  const where = wrong === undefined ? '' : `; ${wrong.what}`
  const message = await withLinesOf(container, `${task.app} ${missing(task)} within ${within}${last}${where}`, parts)
  return new ShadowError('app-not-ready', message, {
    hint: wrong?.hint ?? `it must listen on 0.0.0.0:${task.port} (PORT says so too); shadow logs ${task.app}`,
    facts: { port: task.port },
  })
}

/** Why an app is given up that listens elsewhere. */
export async function onWrongPort(
  { app, port }: TaskDefinition,
  container: Container,
  { what, hint }: WrongPort,
  parts: Parts,
): Promise<ShadowError> {
  const message = await withLinesOf(container, `${app} is not ready: ${what}`, parts)
  return new ShadowError('app-not-ready', message, { hint, facts: { port } })
}

function missing({ ready, port }: TaskDefinition): string {
  switch (ready.kind) {
    case 'port':
      return `gave no answer on port ${port}`
    case 'http':
      return `gave no good answer on ${ready.path} at port ${port}`
    case 'log':
      return `did not write "${ready.line}" and open port ${port}`
    case 'healthcheck':
      return `did not pass the HEALTHCHECK of its image and open port ${port}`
    case 'started':
      return 'did not start'
  }
}
