import { ShadowError } from '../../lib/errors.ts'
import type { AppName } from '../../model/names.ts'

type Limits = {
  /** `sessions`, for the error. */
  readonly what: string
  readonly perApp: number
  readonly perNode: number
}

/** How many sessions, or connections, are open on this node, of each app and in all. */
export class SessionCounts {
  readonly #ofApp = new Map<AppName, number>()
  readonly #limits: Limits
  #all = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** Counts a session until it is disposed of; fails with `too-many-sessions`. */
  take(app: AppName): Disposable {
    const count = this.#ofApp.get(app) ?? 0
    const { what, perApp, perNode } = this.#limits
    if (count >= perApp) throw tooMany(`${app} has ${count} open ${what}, which is the most that it may have`, app)
    if (this.#all >= perNode)
      throw tooMany(`the node of ${app} has ${this.#all} open ${what}, which is the most that it may have`, app)
    this.#ofApp.set(app, count + 1)
    this.#all += 1
    return {
      [Symbol.dispose]: () => {
        const left = (this.#ofApp.get(app) ?? 0) - 1
        if (left > 0) this.#ofApp.set(app, left)
        else this.#ofApp.delete(app)
        this.#all -= 1
      },
    }
  }
}

const tooMany = (message: string, app: AppName): ShadowError =>
  new ShadowError('too-many-sessions', message, { hint: `see who has them: shadow why ${app}`, retryAfterMs: 5_000 })
