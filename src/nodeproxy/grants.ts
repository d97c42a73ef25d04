import type { Granted, HolderMethods, NodeMethods } from '../api/grant-protocol.ts'
import type { Cancellation } from '../lib/cancellation.ts'
import { type Clock, timestamp } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Channel, Other } from '../lib/threads/channel.ts'
import type { EndedRun, Grant, Held, HoldRequest, HoldView, InstanceView, Phase } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import { progressOf } from '../model/wake-progress.ts'

type Options = {
  readonly hold: (instance: InstanceId, request: HoldRequest, cancellation: Cancellation) => Held | Promise<Held>
  readonly follow: (
    instance: InstanceId,
    permit: string | undefined,
    signal: AbortSignal,
  ) => AsyncIterable<InstanceView>
  readonly phase: (instance: InstanceId) => Phase
  readonly refused: (instance: InstanceId, run: string) => Promise<void>
  readonly alive: (instance: InstanceId, run: string) => Promise<void>
  readonly clock: Clock
}

// A worker that does not answer is busy or dying; its last report stands.
const REPORT_WITHIN_MS = 500

type Worker = { readonly other: Other<HolderMethods>; readonly grants: Map<number, Entry> }
type Entry = {
  readonly held: Held
  readonly grant: Grant & { lastUsedAt: number | undefined; holds: readonly HoldView[] }
}

/** What workers hold of the apps of this node: a grant is one hold of the instance, for all requests that a worker counts under it. */
export class Grants {
  readonly #options: Options
  readonly #workers = new Set<Worker>()

  constructor(options: Options) {
    this.#options = options
  }

  /** How many there are. */
  get count(): number {
    let count = 0
    for (const { grants } of this.#workers) count += grants.size
    return count
  }

  /** Grants to the worker at the other end; disposing it, as the worker is no more, gives back what it had. */
  serve(channel: Channel): Disposable {
    const { phase, refused, alive } = this.#options
    const worker: Worker = { other: channel.other<HolderMethods>(), grants: new Map() }
    this.#workers.add(worker)
    let last = 0
    channel.serve<NodeMethods>({
      hold: ({ instance, request }, cancellation) =>
        this.#grant({ id: ++last, worker, instance, request, cancellation }),
      giveBack: ({ grant, agoMs }) =>
        this.#giveBack(worker, grant, agoMs === null ? undefined : this.#options.clock.now() - agoMs),
      refused: ({ instance, run }) => refused(instance, run),
      alive: ({ instance, run }) => alive(instance, run),
      badAnswer: ({ grant, fault }) => worker.grants.get(grant)?.held.badAnswer?.(fault),
      follow: (input, cancellation) => this.#next(input, cancellation),
      phase: instance => phase(instance),
    })
    return {
      [Symbol.dispose]: () => {
        this.#workers.delete(worker)
        for (const id of worker.grants.keys()) this.#giveBack(worker, id, this.#options.clock.now())
      },
    }
  }

  /** Notifies all workers that no request may go to this run of an app any more. */
  runEnded(ended: EndedRun): void {
    for (const { other } of this.#workers) other.notify('runEnded', ended)
  }

  /** Asks all workers for their holds, so that views are exact. */
  async report(): Promise<void> {
    await Promise.all([...this.#workers].map(worker => this.#reportOf(worker)))
  }

  async #reportOf({ other, grants }: Worker): Promise<void> {
    const limit = new AbortController()
    using _alarm = this.#options.clock.after(REPORT_WITHIN_MS, () => limit.abort())
    const reported = await other.call('report', null, limit).catch(() => []) // its last report stands
    for (const { grant, holds } of reported) {
      const entry = grants.get(grant)
      if (entry !== undefined) entry.grant.holds = holds
    }
  }

  async #grant({ id, worker, instance, request, cancellation }: Call): Promise<Granted> {
    const { hold, clock } = this.#options
    // `revoked` is set if the revocation comes before the answer is sent: the channel reads the answer only then.
    const answer = { grant: id, address: '', run: '', waited: undefined as Granted['waited'], revoked: false }
    const since = timestamp(clock)
    const grant: Entry['grant'] = {
      lastUsedAt: undefined,
      holds: [{ kind: request.kind, what: request.what, since }],
      revoke: () => {
        answer.revoked = true
        worker.other.notify('revoke', id)
      },
      goAway: () => worker.other.notify('goAway', id),
    }
    const held = await hold(instance, { ...request, grant }, cancellation)
    if (!this.#workers.has(worker)) {
      held[Symbol.dispose]()
      throw new ShadowError('shutting-down', 'the worker that asked has ended')
    }
    worker.grants.set(id, { held, grant })
    const { address, run = address, release, waited, answersUntil, requests } = held
    return Object.assign(answer, { address, run, release, waited, answersUntil, requests })
  }

  #giveBack({ grants }: Worker, id: number, lastUsedAt: number | undefined): void {
    const entry = grants.get(id)
    if (entry === undefined) return
    grants.delete(id)
    entry.grant.lastUsedAt = lastUsedAt
    entry.held[Symbol.dispose]()
  }

  async #next(
    { instance, permit, seen }: Parameters<NodeMethods['follow']>[0],
    { signal }: Cancellation,
  ): Promise<InstanceView> {
    for await (const view of this.#options.follow(instance, permit, signal)) {
      const { phase, stage } = progressOf(view)
      if (phase !== seen?.phase || stage !== seen.stage) return view
    }
    throw signal.reason
  }
}

type Call = {
  readonly id: number
  readonly worker: Worker
  readonly instance: InstanceId
  readonly request: HoldRequest
  readonly cancellation: Cancellation
}
