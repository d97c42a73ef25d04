import type { Exchange } from '../../lib/http/exchange.ts'
import type { Route } from '../../model/route.ts'
import { type Session, stateIn } from '../../model/session.ts'
import type { FrontParts } from '../front-parts.ts'
import { nodeOf } from '../node-choice.ts'

const ANSWERS_WITHIN_MS = 5_000

/** Answers with the state of the session, as its node tells it. This wakes nothing, and is no use of the session. */
export async function answerStatus(parts: FrontParts, app: Route, session: Session, exchange: Exchange): Promise<void> {
  const signal = AbortSignal.any([exchange.signal, AbortSignal.timeout(ANSWERS_WITHIN_MS)])
  const node = await nodeOf(parts, app, signal)
  // A session that ends when nobody uses it is asleep only before its first run.
  const hasRun = session.whenIdle === 'sleep'
  const done = new AbortController()
  let state = stateIn({ phase: 'asleep' }, session.whenIdle, hasRun)
  for await (const now of parts.connector.follow(app, node, AbortSignal.any([signal, done.signal]))) {
    state = stateIn(now, session.whenIdle, hasRun)
    break
  }
  done.abort()
  exchange.answer({
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: `${JSON.stringify({ session: app.name, template: session.template, state, until: session.until ?? null })}\n`,
  })
}
