import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import type { NodeClient } from '../api/client.ts'
import type { LogQuery } from '../api/log-query.ts'
import { PERMIT_HEADER } from '../api/paths.ts'
import type { ScheduledRunSchema } from '../api/schedule-schemas.ts'
import type { CheckedSchema } from '../api/schemas.ts'
import { isFailure } from '../lib/errors.ts'
import type { Answer } from '../lib/http/api/call.ts'
import { readEvents } from '../lib/http/api/events.ts'
import type { App } from '../model/app.ts'
import { appOfBuilt } from '../model/build.ts'
import type { InstanceView, SleepTier } from '../model/instance.ts'
import { type InstanceId, instanceId } from '../model/instance-id.ts'
import type { AppName, NodeName } from '../model/names.ts'
import { type Placement, place, REFUSES_WAKE } from '../model/placement.ts'
import type { SessionEndKind } from '../model/session.ts'
import type { PinnedImage, TaskDefinition } from '../model/task.ts'
import { askNodes } from './ask-nodes.ts'
import { joinSession, openSession, type SessionCall, type SessionQuery } from './exec/join-session.ts'
import type { LogSource, LogSources } from './logs/merged-log.ts'
import { passOn } from './node-answers.ts'
import { asCandidate, type ChoiceParts, nodeChoice } from './node-choice.ts'
import { readStats } from './node-stats.ts'
import type { ControlledNode } from './nodes.ts'
import { type Asking, readSummaries } from './overview/node-summaries.ts'
import { volumeRelay } from './volume-relay.ts'
import type { Volumes } from './volumes.ts'

type Sleeping = { readonly kind?: SessionEndKind; readonly to?: SleepTier; readonly createdAt?: string }
type Checked = z.output<typeof CheckedSchema>
export type Relay = ReturnType<typeof nodeRelay>

/** An instance, whether it runs or not, and its node. */
type RolloutTarget = { readonly node: ControlledNode; readonly instance: InstanceId }

type Options = ChoiceParts & {
  readonly volumes: Volumes
  /** There is only the node in this process: what it builds stays with it. */
  readonly isAlone: boolean
}

/** Calls the nodes on behalf of the master's callers. */
export function nodeRelay({ isAlone, volumes, ...parts }: Options) {
  const { nodes, companions, permits } = parts
  const choice = nodeChoice(parts)
  const { about, clientOf, reached, askAll, awakeOf, nodeWith, nodeOf, nodeForNew } = choice
  return {
    ...volumeRelay({ nodes, volumes, choice }),
    /** The node that has the app's volume, or can attach it; what it is called by; and the permit to show it. */
    async nodeFor(app: App) {
      const node = await nodeOf(app)
      return { node: node.name, client: await reached(node), headers: about(app).headers }
    },
    /** The names of the apps that are not at rest on the node. Fails with `node-unreachable`. */
    async awakeOn(node: ControlledNode): Promise<readonly AppName[]> {
      const { items } = await clientOf(node).call('listInstances', {})
      return items.filter(({ phase }) => phase !== 'asleep' && phase !== 'crashed').map(({ app }) => app)
    },
    /** Lets the node hear of its cordon now; if it does not answer in time, it hears of it by its next announcement. */
    async announceNow(node: ControlledNode): Promise<void> {
      if (node.state === 'gone' || node.controlKey === undefined) return
      const signal = AbortSignal.timeout(HEARS_WITHIN_MS)
      await clientOf(node)
        .call('announceNow', { signal })
        .catch(() => undefined) // see above
    },
    async instances(): Promise<{ items: InstanceView[]; silent: NodeName[] }> {
      const asked = await askAll(64)
      return {
        items: asked.flatMap(({ instances }) => instances ?? []),
        silent: asked.flatMap(({ node, instances }) => (instances === undefined ? node.name : [])),
      }
    },
    /** What a list of apps needs of the instances of a node, that has changed since a version. Fails if the node does not answer in time. */
    summaries: (node: ControlledNode, ...asked: Asking) => readSummaries(clientOf(node), ...asked),
    stats: async () => readStats(await nodes.list(), clientOf),
    /** Asks all nodes; `silent`: those that did not answer. */
    askEach: async <T>(ask: (node: NodeClient) => Promise<T>) =>
      askNodes(await nodes.all(), async node => ask(clientOf(node))),
    /** Where a front without a pin would place the app now, and why. */
    async placement(app: App): Promise<Placement<NodeName>> {
      const { needs } = await companions.placementOf(app)
      const asked = await askAll(64)
      const { node, ...why } = place(app.name, needs, asked.map(asCandidate))
      return { ...why, ...(node !== undefined && { node: node.name }) }
    },
    /** Something for each change of the instance of the app, as its node tells it; ends with the node's stream. */
    async *follow(app: App, signal: AbortSignal): AsyncGenerator<unknown> {
      const client = await reached(await nodeOf(app))
      const { body } = await client.raw('followInstance', { ...about(app), signal })
      yield* readEvents(body)
    },
    instance: async (app: App): Promise<InstanceView> => clientOf(await nodeOf(app)).call('getInstance', about(app)),
    /** Wakes the app. If its node has no room or takes it no more, one other node is asked. */
    async wake(app: App, signal: AbortSignal): Promise<InstanceView> {
      const wakeOn = async (node: ControlledNode): Promise<InstanceView> =>
        (await reached(node)).call('wakeInstance', { ...about(app), signal })
      const first = await nodeOf(app, { toWake: true })
      try {
        return await wakeOn(first)
      } catch (error) {
        if (!isFailure(error, ...REFUSES_WAKE)) throw error
        const next = await nodeOf(app, { toWake: true, without: new Set([first.name]) }).catch(() => undefined) // then the first error stands
        if (next === undefined) throw error
        return wakeOn(next)
      }
    },
    /** Wakes the app where it would be woken, and has it kept awake for so long. */
    async keep(app: App, body: { forMs: number; why: string }, signal: AbortSignal): Promise<void> {
      const client = await reached(await nodeOf(app, { toWake: true }))
      await client.call('keepInstance', { ...about(app), body, signal })
    },
    /** Has the app's node do what a schedule says, waking the app first. */
    async runScheduled(app: App, body: z.input<typeof ScheduledRunSchema>, signal: AbortSignal) {
      const client = await reached(await nodeOf(app, { toWake: true }))
      return client.call('runScheduled', { ...about(app), body, signal })
    },
    /**
     * Has the app's node check a definition that the app may get; undefined if no node can check it. Fails if the definition cannot be run.
     */
    async check(app: App, task: TaskDefinition, signal: AbortSignal): Promise<Checked | undefined> {
      try {
        const client = await reached(await nodeOf(app))
        return await client.call('checkInstance', { ...about(app), body: permits.withImage(task), signal })
      } catch (error) {
        if (isFailure(error, 'image-not-found', 'command-not-found', 'definition-refused')) throw error
        signal.throwIfAborted()
        return undefined
      }
    },
    /**
     * The image that the definition names now, on the machine where the app would run; undefined if the image is missing there or no node
     * answers.
     */
    async imageOf(task: TaskDefinition): Promise<PinnedImage | undefined> {
      const all = (await nodes.list()).toSorted((a, b) => a.memoryUtilization - b.memoryUtilization)
      // An image that Shadow built may be on one node only.
      const has = ({ images = [] }: ControlledNode): boolean => images.some(key => task.image.endsWith(`:${key}`))
      const asked =
        appOfBuilt(task.image) !== undefined ? all.toSorted((a, b) => Number(has(b)) - Number(has(a))) : all.slice(0, 1)
      const params = { instance: instanceId(task.app) }
      for (const node of asked)
        try {
          const { image } = await clientOf(node).call('checkInstance', { params, body: task })
          if (image !== null) return image
        } catch {}
      return undefined
    },
    /** Puts all instances of the app to sleep; returns its plain one. */
    async sleep(app: App, signal: AbortSignal, how: Sleeping = {}): Promise<InstanceView> {
      const sleepOn = async (node: ControlledNode, instance: InstanceId): Promise<InstanceView> =>
        (await reached(node)).call('sleepInstance', { ...about(app), params: { instance }, query: how, signal })
      const plain = instanceId(app.name)
      const others = app.scale === undefined ? [] : await awakeOf(app.name)
      const [view] = await Promise.all([
        nodeOf(app).then(node => sleepOn(node, plain)),
        ...others.filter(({ one }) => one.instance !== plain).map(({ node, one }) => sleepOn(node, one.instance)),
      ])
      return view
    },

    /** The instances of the app to follow in a rollout: those that are not at rest, else, to wake it, its plain one. */
    async rolloutTargets(app: App, wake: boolean): Promise<readonly RolloutTarget[]> {
      const awake = (await awakeOf(app.name)).map(({ node, one }) => ({
        node,
        instance: one.instance,
        phase: one.phase,
      }))
      const running = awake.filter(({ phase }) => phase !== 'crashed')
      if (running.length > 0) return running
      return wake ? [{ node: await nodeOf(app, { toWake: true }), instance: instanceId(app.name) }] : []
    },
    /** How one instance comes to a revision: NDJSON of its node. */
    async followRollout(
      app: App,
      { node, instance }: RolloutTarget,
      { revision, wake, within }: { revision: number; wake: boolean; within: number },
      signal: AbortSignal,
    ): Promise<Answer> {
      const query = { revision, wake: wake ? ('true' as const) : ('false' as const), within }
      return (await reached(node)).raw('followRollout', { ...about(app), params: { instance }, query, signal })
    },

    /** The instances of the app, whether they run or not, and the nodes that do not answer. */
    async logSources({ name }: Pick<App, 'name'>): Promise<LogSources> {
      const { items, silent } = await this.instances()
      return { sources: items.filter(one => one.app === name), silent }
    },
    /** Reads the log of one instance; left out: of the plain one, on its node. */
    async openLog(app: App, { instance: _, ...query }: LogQuery, signal: AbortSignal, of?: LogSource): Promise<Answer> {
      const node = of === undefined ? await nodeOf(app) : await nodeWith(of.node, `the log of ${of.instance}`)
      const params = { instance: of?.instance ?? instanceId(app.name) }
      const asked = { ...query, follow: query.follow ? ('true' as const) : ('false' as const) }
      return (await reached(node)).raw('instanceLogs', { params, query: asked, signal })
    },

    /** Builds or takes an image on the node where the app runs, or would run; see `buildImage`. */
    async makeImage(
      call: 'buildImage' | 'loadImage',
      of: App | AppName,
      query: Readonly<Record<string, string>>,
      content: IncomingMessage,
      response: ServerResponse,
      signal: AbortSignal,
    ): Promise<void> {
      const node = typeof of === 'string' ? await nodeForNew(of) : await nodeOf(of)
      const client = await reached(node)
      // A refusal must still reach the client, so a reader that stops early must not destroy the request.
      const body = content.iterator({ destroyOnReturn: false })
      const app = typeof of === 'string' ? of : of.name
      // Every node shall be able to run the image.
      const headers = isAlone ? {} : { [PERMIT_HEADER]: permits.forPush(app, node.name) }
      const answer = await client.raw(call, { params: { app }, query, headers, content: body, signal } as never)
      await passOn(answer, response, 'application/x-ndjson', signal)
    },
    /** Joins the streams of a session with the node of the app; see `joinSession`. */
    session(app: App, query: SessionQuery, call: SessionCall): Promise<void> {
      const wake = () => this.wake(app, call.signal)
      return joinSession({ awakeOf, nodeOf, reached, headers: about(app).headers, wake }, app, query, call)
    },
    /** Opens a session on the node of the app, for the SSH server; see `openSession`. */
    openSession(app: App, query: SessionQuery, content: AsyncIterable<Uint8Array>, signal: AbortSignal) {
      const wake = () => this.wake(app, signal)
      return openSession({ awakeOf, nodeOf, reached, headers: about(app).headers, wake }, app, query, content, signal)
    },
  }
}

const HEARS_WITHIN_MS = 2_000
