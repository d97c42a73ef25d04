import { setTimeout as wait } from 'node:timers/promises'
import { systemCode } from '../../src/lib/errors.ts'
import type { Visitor } from '../../test/tools/visitor.ts'

/** A request that has got neither an answer nor an error by then is lost. */
const BOUND_MS = 60_000
const HOT_FOR_MS = 8_000

export type Request = {
  readonly app: string
  readonly front: string
  readonly id: string
  /** When it was sent, in milliseconds from the start of the load. */
  readonly at: number
  readonly ms: number
  /** `answered`, `lost`, `wrong-app`, `front-away`, or the code of Shadow's error. */
  readonly outcome: string
  readonly detail?: string | undefined
}

type Options = {
  readonly apps: readonly string[]
  readonly fronts: ReadonlyMap<string, Visitor>
  readonly perSecond: number
  readonly random: () => number
  /** Whether the front could not serve at some moment from `from` until now, through no fault of its own. */
  readonly wasAway: (front: string, from: number, how: { readonly isRefused: boolean }) => boolean
}

/** Sends requests steadily until it is stopped. Which apps are visited changes every few seconds, so that apps sleep and wake. */
export class Load {
  readonly done: Request[] = []
  readonly #options: Options
  readonly #stopped = new AbortController()
  readonly #open = new Set<Promise<void>>()
  readonly #from = performance.now()
  readonly #sending: Promise<void>
  #hot: readonly string[] = []
  #ids = 0

  constructor(options: Options) {
    this.#options = options
    this.#sending = this.#send()
  }

  /** Milliseconds from the start of the load. */
  get now(): number {
    return performance.now() - this.#from
  }

  /** Sends no more, and resolves when all that were sent have an outcome. */
  async stop(): Promise<readonly Request[]> {
    this.#stopped.abort()
    await this.#sending
    await Promise.all(this.#open)
    return this.done
  }

  async #send(): Promise<void> {
    const { apps, fronts, perSecond, random } = this.#options
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
    let hotUntil = 0
    while (!this.#stopped.signal.aborted) {
      if (this.now > hotUntil) {
        this.#hot = apps.filter(() => random() < 0.5)
        hotUntil = this.now + HOT_FOR_MS
      }
      const request = this.#ask(pick(this.#hot.length > 0 ? this.#hot : apps), pick([...fronts.keys()]))
      this.#open.add(request)
      void request.finally(() => this.#open.delete(request))
      await wait((-Math.log(1 - random()) * 1_000) / perSecond)
    }
  }

  async #ask(app: string, front: string): Promise<void> {
    const id = `r${this.#ids++}`
    const at = this.now
    const [outcome, detail] = await this.#outcome(app, front, id, at)
    this.done.push({ app, front, id, at, ms: this.now - at, outcome, detail })
  }

  async #outcome(app: string, front: string, id: string, at: number): Promise<[outcome: string, detail?: string]> {
    const visitor = this.#options.fronts.get(front) as Visitor
    const signal = AbortSignal.timeout(BOUND_MS)
    try {
      const { status, headers, json, text } = await visitor.ask(app, `/append?id=${id}`, {
        method: 'POST',
        body: '',
        signal,
      })
      const node = String(headers['x-shadow-node'] ?? '-').slice(-1)
      const code = headers['x-shadow-error']
      if (code !== undefined) return [String(code), `${status} ${text.slice(0, 300)}`]
      if (json?.app !== app) return ['wrong-app', `${status} ${text.slice(0, 300)}`]
      return status === 200 && json.id === id
        ? ['answered', `${node} ${json.run}`]
        : [`app-${status}`, text.slice(0, 300)]
    } catch (error) {
      const why = signal.aborted ? `nothing within ${BOUND_MS} ms` : String(error)
      const isRefused = systemCode(error) === 'ECONNREFUSED'
      return [this.#options.wasAway(front, at, { isRefused }) ? 'front-away' : 'lost', why]
    }
  }
}
