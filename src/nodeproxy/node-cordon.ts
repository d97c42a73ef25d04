import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { mapAtMost } from '../lib/parallel.ts'
import { isRunning } from '../model/instance.ts'
import type { AppName, NodeName } from '../model/names.ts'
import type { Cordon } from '../model/node-state.ts'
import type { Session } from '../model/session.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Instance } from './instance.ts'

type Options = {
  readonly node: NodeName
  readonly instances: () => readonly Pick<Instance, 'phase' | 'task' | 'sleep' | 'users'>[]
  /** Whether the volume of this app is on the disk of this machine. */
  readonly isLocal: (task: TaskDefinition) => boolean
  /** What the app is as a session; left out: none is one. */
  readonly sessionOf?: ((app: AppName) => Session | undefined) | undefined
  /** Gives up disks that stay attached after a sleep; left out: there are none. */
  readonly giveUpDisks?: (() => Promise<void>) | undefined
  readonly clock: Clock
  readonly log: Log
}

/** What the master answers to an announcement. `drainWithinMs`: how long apps in use may still go on; set while the node drains. */
export type Told = { readonly cordon: Cordon | null; readonly drainWithinMs?: number | undefined }

const CHECKED_EVERY_MS = 1_000
const AT_ONCE = 8
const RETRY_AFTER_MS = 2_000

/**
 * What an admin wants of this node, as the master said it last: a cordoned node refuses apps that it does not have, a draining one refuses
 * every wake. So a front that does not know it yet loses no request: it asks another node. A drain never wakes an app. It puts awake apps to
 * sleep as soon as nobody uses them, and at the deadline the others too. Sessions that end when nobody uses them go on until they end.
 */
export class NodeCordon implements Disposable {
  readonly #options: Options
  #cordon: Cordon | null = null
  #deadline = 0
  #next: Disposable | undefined
  #isSleeping = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Takes what the master said. */
  take({ cordon, drainWithinMs = 0 }: Told): void {
    const { node, clock, log } = this.#options
    const was = this.#cordon
    this.#cordon = cordon
    this.#deadline = clock.now() + drainWithinMs
    if (JSON.stringify(was) !== JSON.stringify(cordon))
      log.info(cordon === null ? 'node uncordoned' : cordon.drain ? 'node drains' : 'node cordoned', {
        node,
        ...(cordon?.drain && { withinMs: drainWithinMs, volumes: cordon.drain.volumes }),
      })
    if (cordon?.drain === undefined) this[Symbol.dispose]()
    else if (this.#next === undefined) this.#check()
  }

  /** Fails with `node-cordoned` if the node takes no app that it does not have. */
  mustTakeNew(app: AppName): void {
    if (this.#cordon === null) return
    const what = this.#cordon.drain === undefined ? 'cordoned' : 'drained'
    throw refusal(`the node ${this.#options.node} is ${what}, and does not have ${app}`)
  }

  /** Fails with `node-cordoned` if the node drains and this app does not stay. */
  mustWake(task: TaskDefinition): void {
    const drain = this.#cordon?.drain
    if (drain === undefined || this.#stays(task) || this.#hasOnlyThisNode(task)) return
    const { node, isLocal } = this.#options
    throw refusal(
      isLocal(task)
        ? `${task.app} does not run while the node ${node}, whose disk has its volume, is drained`
        : `the node ${node} is drained, and wakes ${task.app} no more`,
    )
  }

  /** A session without a volume can run nowhere else. One that sleeps may wake again until the deadline. */
  #hasOnlyThisNode({ app, volume }: TaskDefinition): boolean {
    const { sessionOf, clock } = this.#options
    return sessionOf?.(app)?.whenIdle === 'sleep' && volume === undefined && clock.now() < this.#deadline
  }

  get isCordoned(): boolean {
    return this.#cordon !== null
  }

  /** How many instances have still to leave; undefined while the node does not drain. */
  get toLeave(): number | undefined {
    if (this.#cordon?.drain === undefined) return undefined
    return this.#options
      .instances()
      .filter(({ phase, task }) => phase !== 'asleep' && phase !== 'crashed' && !this.#stays(task)).length
  }

  [Symbol.dispose](): void {
    this.#next?.[Symbol.dispose]()
    this.#next = undefined
  }

  #stays(task: TaskDefinition): boolean {
    return this.#cordon?.drain?.volumes === 'keep' && this.#options.isLocal(task)
  }

  #check(): void {
    const { clock } = this.#options
    this.#next = clock.after(CHECKED_EVERY_MS, () => this.#check())
    if (this.#isSleeping) return
    this.#isSleeping = true
    void this.#sleep().finally(() => {
      this.#isSleeping = false
    })
  }

  async #sleep(): Promise<void> {
    const { instances, sessionOf, giveUpDisks, clock } = this.#options
    await giveUpDisks?.()
    const isOver = clock.now() >= this.#deadline
    // A session that would end by its sleep has the time for which nobody may use it first.
    const goesOn = ({ app }: TaskDefinition): boolean => !isOver && sessionOf?.(app)?.whenIdle === 'end'
    const all = instances().filter(({ phase, task }) => isRunning(phase) && !this.#stays(task) && !goesOn(task))
    // Apps that others use leave after those.
    const free = all.filter(({ users }) => users.length === 0)
    const leaving = free.length > 0 ? free : all
    await mapAtMost(
      AT_ONCE,
      leaving,
      instance =>
        // One that is in use refuses the first reason, and is asked again.
        instance.sleep(isOver ? 'drain-deadline' : 'drained').catch(() => undefined), // it has ended in `stuck`, and that was logged
    )
  }
}

const refusal = (message: string): ShadowError =>
  new ShadowError('node-cordoned', message, {
    hint: `other nodes take it; if there is none: shadow node uncordon NODE, or shadow node ls`,
    retryAfterMs: RETRY_AFTER_MS,
  })
