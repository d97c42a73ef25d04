import { createServer } from 'node:http'
import type { z } from 'zod'
import { nodePaths } from '../api/paths.ts'
import type { CheckedSchema } from '../api/schemas.ts'
import { asShadowError, ShadowError } from '../lib/errors.ts'
import { openEvents } from '../lib/http/api/events.ts'
import { listen, reply } from '../lib/http/api/request-handler.ts'
import type { InstanceView } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { summaryOf } from '../model/instance-summary.ts'
import type { AppName, NodeName } from '../model/names.ts'

type Name = keyof typeof nodePaths

/** A fake of a node's API on a real socket; `calls` are the calls to it, such as `wakeInstance blog`. */
export type FakeNode = AsyncDisposable & {
  readonly address: string
  readonly key: string
  readonly controlKey: string
  readonly calls: string[]
  readonly instances: InstanceView[]
  /** Calls that fail, by their name. */
  readonly failures: Map<Name, ShadowError>
  /** Whether whoever follows an instance is sent its phase now and at each `changed`; otherwise such a stream ends at once. */
  isFollowed: boolean
  /** Tells the followers. */
  changed(): void
  /** Called before each call is answered. */
  heard: (call: Name, query: URLSearchParams) => void | Promise<void>
  /** What it knows of the definitions that it is asked about. */
  checked: Checked
}
type Checked = z.input<typeof CheckedSchema>

/** Starts a fake node with these instances; `logs` are the lines of every app's log. */
export async function fakeNode(name: string, instances: InstanceView[] = [], logs = ''): Promise<FakeNode> {
  const key = `key-of-${name}-0123456789`
  const controlKey = `control-key-of-${name}-0123456789`
  const calls: string[] = []
  const failures = new Map<Name, ShadowError>()
  const followers = new Set<() => void>()
  const find = (app: string): InstanceView =>
    instances.find(one => one.app === app) ?? instanceView(app, name, 'asleep')
  const answers: Record<Name, (app: string) => unknown> = {
    health: () => ({
      overall: false,
      overloaded: false,
      container_backend: false,
      cpu_utilization: 0,
      memory_utilization: 0,
    }),
    announceNow: () => undefined,
    listInstances: () => ({ items: instances }),
    getInstance: find,
    wakeInstance: app => ({ ...find(app), phase: 'awake' }),
    checkInstance: () => node.checked,
    sleepInstance: app => ({ ...find(app), phase: 'asleep' }),
    keepInstance: app => ({ app, phase: 'awake' }),
    runScheduled: () => ({ exitCode: 0, lastLines: '' }),
    listLoads: () => ({ items: [] }),
    forgetInstance: () => undefined,
    forgetApp: () => undefined,
    instanceLogs: () => logs,
    followInstance: () => '',
    followRollout: () => '',
    listVolumes: () => ({ items: [] }),
    removeVolume: () => undefined,
    sendVolume: () => '',
    receiveVolume: () => ({ receivedBytes: 0, heldMs: 0 }),
    getVolumeMove: () => ({ move: null }),
    openSession: () => undefined,
    openConnection: () => undefined,
    listStats: () => ({ items: [] }),
    listEvents: () => ({ items: [] }),
    readSeries: () => ({ items: [] }),
    readActivity: () => ({ items: [] }),
    listSummaries: () => ({ version: 'all', isWhole: true, items: instances.map(summaryOf), gone: [] }),
    exportVolume: () => '',
    importVolume: () => undefined,
    takeSnapshot: () => ({ consistent: 'asleep', frozenMs: 0 }),
    listSnapshots: () => ({ items: [] }),
    finishSnapshot: () => undefined,
    removeSnapshot: () => undefined,
    statFile: () => ({ file: null }),
    readFiles: () => '',
    writeFiles: () => undefined,
    forkVolume: () => undefined,
    growVolume: () => ({ phase: 'asleep' }),
    restoreVolume: () => ({ kept: true, heldMs: 0 }),
    buildImage: () => undefined,
    loadImage: () => undefined,
    backUpVolume: () => ({
      backup: {
        id: 'a'.repeat(64),
        at: new Date(0).toISOString(),
        sizeBytes: 0,
        dataBytes: 0,
        addedBytes: 0,
        ms: 0,
        digest: '',
      },
    }),
    restoreBackup: () => ({ ms: 0, heldMs: 0 }),
    verifyBackup: () => ({ ms: 0 }),
    pruneBackups: () => ({ kept: [] }),
  }
  const server = createServer(async (request, response) => {
    try {
      const url = new URL(request.url ?? '/', 'http://fake')
      const { call, param } = matched(request.method ?? '', url.pathname)
      if (call !== 'health' && request.headers.authorization !== `Bearer ${controlKey}`)
        throw new ShadowError('unauthorised', 'this is not the key for control of the node')
      if (call !== 'health') calls.push(`${call} ${param}`.trim())
      const failure = failures.get(call)
      await node.heard(call, url.searchParams)
      if (failure !== undefined) throw failure
      if (call === 'followInstance' && node.isFollowed) {
        const send = openEvents(response, 60_000)
        const tell = (): void => send({ app: param, phase: find(param).phase })
        followers.add(tell)
        response.on('close', () => followers.delete(tell))
        return tell()
      }
      const answer = answers[call](param)
      if (typeof answer === 'string') response.end(answer)
      else reply(response, answer === undefined ? 204 : 200, answer)
    } catch (thrown) {
      const error = asShadowError(thrown)
      reply(response, error.status, error.toProblem())
    }
  })
  const listening = await listen(server, { host: '127.0.0.1', port: 0 })
  const node: FakeNode = {
    address: listening.address,
    key,
    controlKey,
    calls,
    instances,
    failures,
    isFollowed: false,
    changed: () => {
      for (const tell of followers) tell()
    },
    checked: { image: null, ran: null },
    heard: () => undefined,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
  return node
}

/** An instance with default values in all other fields. */
export function instanceView(app: string, node: string, phase: InstanceView['phase']): InstanceView {
  return {
    app: app as AppName,
    instance: instanceId(app as AppName),
    node: node as NodeName,
    phase,
    since: new Date(0).toISOString(),
    revision: 1,
    waiting: 0,
    holds: [],
    sleepsAt: null,
    wokenBy: null,
    stoppedBy: null,
    lastWake: null,
    refusedWakes: null,
    rejected: null,
    badAnswer: null,
    memoryKill: null,
    held: [],
    problem: null,
    failures: 0,
    retryAt: null,
    container: null,
  }
}

function matched(method: string, path: string): { call: Name; param: string } {
  for (const [call, line] of Object.entries(nodePaths) as [Name, string][]) {
    const [wanted, pattern = ''] = line.split(' ')
    const match = new RegExp(`^${pattern.replace(/:\w+/g, '([^/]+)')}$`).exec(path)
    if (wanted === method && match !== null) return { call, param: match[1] ?? '' }
  }
  throw new ShadowError('not-found', `no call ${method} ${path}`)
}
