import type { Clock } from '../lib/clock.ts'
import type { Leaver } from '../lib/leaver.ts'
import type { Line, Other } from '../lib/threads/line.ts'
import type { Ask, EndedRun, Held, InstanceView, Phase } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'
import { Grant } from './grant.ts'
import type { HolderDeeds, NodeDeeds, Wanted } from './grants.ts'

// A busy app costs no message for each request; one that is not is given back so soon.
const LINGER_MS = 50

type Options = { readonly line: Line; readonly clock: Clock; readonly onLeft: (ended: EndedRun) => void }

/**
 * Holds apps of a node that runs in another thread of this process. Requests that come while there is a grant for their app are
 * counted here, under it. A WebSocket gets a grant of its own: whether it counts is the app's policy, which the node knows.
 */
export class Holding {
  readonly #node: Other<NodeDeeds>
  readonly #clock: Clock
  readonly #all = new Map<number, Grant>()
  readonly #current = new Map<AppName, Grant>()
  #sweeps = false

  constructor({ line, clock, onLeft }: Options) {
    this.#node = line.other<NodeDeeds>()
    this.#clock = clock
    line.serve<HolderDeeds>({
      revoke: id => this.#all.get(id)?.revoke(),
      goAway: id => this.#all.get(id)?.goAway(),
      report: () => this.#report(),
      left: ended => onLeft(ended),
    })
  }

  /** As the hold of an instance: at once where there is a grant. */
  hold(wanted: Wanted, ask: Ask, leaver: Leaver): Held | Promise<Held> {
    const grant = this.#current.get(nameOf(wanted))
    if (grant !== undefined && ask.kind === 'request' && grant.serves(wanted)) return grant.enter(ask)
    return this.#ask(wanted, ask, leaver)
  }

  /** The instance now and at each change of its phase, until the signal aborts. */
  async *follow(app: AppName, signal: AbortSignal): AsyncGenerator<InstanceView> {
    let seen: Phase | undefined
    while (!signal.aborted) {
      try {
        const view: InstanceView = await this.#node.call('follow', { app, seen }, { signal })
        seen = view.phase
        yield view
      } catch (error) {
        if (!signal.aborted) throw error
      }
    }
  }

  phase(app: AppName): Promise<Phase> {
    return this.#node.call('phase', app)
  }

  async #ask(wanted: Wanted, ask: Ask, leaver: Leaver): Promise<Held> {
    const { kind, what, bytes, mayWake, patienceMs, permit } = ask
    const call = { app: bareOf(wanted), ask: { kind, what, bytes, mayWake, patienceMs, permit } }
    const granted = await this.#node.call('hold', call, leaver, ({ grant }) =>
      this.#node.tell('giveBack', { grant, agoMs: null }),
    )
    const name = nameOf(wanted)
    const grant = new Grant(wanted, granted, {
      clock: this.#clock,
      refused: () => this.#node.call('refused', { app: name, run: granted.run }),
      alive: () => this.#node.call('alive', { app: name, run: granted.run }),
      badAnswer: fault => this.#node.tell('badAnswer', { grant: granted.grant, fault }),
      onUnused: () => this.#unused(name, grant),
    })
    this.#all.set(granted.grant, grant)
    const held = grant.enter(ask, granted.waited)
    if (ask.kind === 'request' && !granted.revoked) this.#makeCurrent(name, grant)
    return held
  }

  #makeCurrent(name: AppName, grant: Grant): void {
    const before = this.#current.get(name)
    this.#current.set(name, grant)
    if (before?.isUsed === false) this.#giveBack(name, before)
    this.#sweepLater()
  }

  /** Keeps a grant for a moment if it may serve others; one that was only asked with a check is not kept, or a row of them would count as use. */
  #unused(name: AppName, grant: Grant): void {
    if (this.#current.get(name) !== grant || grant.isRevoked || !grant.lingers) this.#giveBack(name, grant)
  }

  #giveBack(name: AppName, grant: Grant): void {
    if (this.#current.get(name) === grant) this.#current.delete(name)
    this.#all.delete(grant.id)
    const { lastUsedAt } = grant
    const agoMs = lastUsedAt === undefined ? null : Math.max(0, this.#clock.now() - lastUsedAt)
    this.#node.tell('giveBack', { grant: grant.id, agoMs })
  }

  /** One timer for all grants: none is set for a request. */
  #sweepLater(): void {
    if (this.#sweeps) return
    this.#sweeps = true
    this.#clock.after(LINGER_MS, () => {
      this.#sweeps = false
      this.#sweep(LINGER_MS)
      if (this.#current.size > 0) this.#sweepLater()
    })
  }

  #sweep(lingerMs: number): void {
    const now = this.#clock.now()
    for (const [name, grant] of this.#current) {
      if (grant.isUsed) continue
      const agoMs = now - (grant.lastUsedAt ?? 0)
      if (agoMs >= lingerMs || agoMs < 0) this.#giveBack(name, grant) // below 0 the clock was set back
    }
  }

  #report(): ReturnType<HolderDeeds['report']> {
    this.#sweep(0)
    return [...this.#all.values()].map(grant => ({ grant: grant.id, holds: grant.holds }))
  }
}

/** What is wanted, without what only a front needs of a route: it is copied to the other thread. */
function bareOf(wanted: Wanted): Wanted {
  if (typeof wanted === 'string') return wanted
  const { name, createdAt, revision, updatedAt, permit } = wanted
  return { name, createdAt, revision, updatedAt, permit }
}

const nameOf = (wanted: Wanted): AppName => (typeof wanted === 'string' ? wanted : wanted.name)
