import { ShadowError } from '../lib/errors.ts'
import type { Held } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'

/** The hold with another port of the same run of the app as its destination. A hold at a node stays: the node does the same there. */
export function atPort(held: Held | Promise<Held>, app: AppName, port: number): Held | Promise<Held> {
  return held instanceof Promise ? held.then(one => portHold(one, app, port)) : portHold(held, app, port)
}

function portHold(held: Held, app: AppName, port: number): Held {
  if (held.isHop === true) return held
  const { address, release, headers, run, alive, badAnswer, answersUntil, requests, waited } = held
  return {
    address: `${address.slice(0, address.lastIndexOf(':'))}:${port}`,
    port,
    release,
    headers,
    run,
    alive,
    badAnswer,
    answersUntil,
    requests,
    waited,
    // A refused connection says nothing about the main port. A new hold makes sense only if the run has ended.
    async refused() {
      const hasEnded = await (alive?.() ?? Promise.resolve()).then(
        () => false,
        () => true,
      )
      if (!hasEnded) throw portUnreachable(app, port)
    },
    [Symbol.dispose]: () => held[Symbol.dispose](),
  }
}

const portUnreachable = (app: AppName, port: number): ShadowError =>
  new ShadowError('app-unreachable', `nothing in the container of ${app} accepts connections on port ${port}`, {
    hint: `have it listen on 0.0.0.0:${port}, not on 127.0.0.1 alone`,
    facts: { port },
  })
