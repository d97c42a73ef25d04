import type { ServerResponse } from 'node:http'
import { asShadowError } from '../../lib/errors.ts'
import { readLines } from '../../lib/http/api/events.ts'
import type { App } from '../../model/app.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { NodeName } from '../../model/names.ts'
import type { RolloutEnd, RolloutOutcome } from '../../model/rollout.ts'
import type { Relay } from '../relay.ts'

type Query = { readonly revision?: number | undefined; readonly wake: boolean; readonly within: number }

const HEARTBEAT_MS = 5_000

/**
 * Streams how the instances of an app come to a revision, each line a stage of one of them, and at last the outcome of all. Instances of
 * all nodes are followed at once.
 */
export async function streamRollout(
  relay: Pick<Relay, 'rolloutTargets' | 'followRollout'>,
  app: App,
  { wake, within, ...query }: Query,
  response: ServerResponse,
  gone: AbortSignal,
): Promise<void> {
  const revision = query.revision ?? app.task.revision
  const signal = AbortSignal.any([gone, AbortSignal.timeout(within * 1_000)])
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' })
  response.flushHeaders()
  const write = (line: object): void => void response.write(`${JSON.stringify(line)}\n`)
  const beat = setInterval(() => response.write('\n'), HEARTBEAT_MS)
  try {
    const targets = await relay.rolloutTargets(app, wake)
    const ends = await Promise.all(
      targets.map(target => followOne(relay, app, target, { revision, wake, within }, write, signal)),
    )
    if (!gone.aborted) write(outcomeOf(revision, ends, signal.aborted))
  } catch (error) {
    if (!gone.aborted) write({ outcome: 'failed', revision, serves: null, problem: asShadowError(error).toProblem() })
  } finally {
    clearInterval(beat)
  }
}

type Target = { readonly instance: InstanceId; readonly node: { readonly name: NodeName } }

async function followOne(
  relay: Pick<Relay, 'followRollout'>,
  app: App,
  target: Target & Parameters<Relay['followRollout']>[1],
  query: Required<Query> & { revision: number },
  write: (line: object) => void,
  signal: AbortSignal,
): Promise<RolloutEnd> {
  const { revision } = query
  try {
    const { body } = await relay.followRollout(app, target, query, signal)
    for await (const line of readLines(body)) {
      if (line === '') continue
      const told = JSON.parse(line) as RolloutEnd | object
      if ('outcome' in told) return told
      write({ instance: target.instance, node: target.node.name, revision, ...told })
    }
    return { outcome: signal.aborted ? 'late' : 'failed', revision, serves: null }
  } catch (error) {
    if (signal.aborted) return { outcome: 'late', revision, serves: null }
    return { outcome: 'failed', revision, serves: null, problem: asShadowError(error).toProblem() }
  }
}

/** The worst end counts; one instance that sleeps meanwhile is none of those that serve. */
function outcomeOf(revision: number, ends: readonly RolloutEnd[], isLate: boolean): RolloutEnd {
  const worst = ends.toSorted((a, b) => RANK[b.outcome] - RANK[a.outcome])[0]
  if (worst === undefined) return { outcome: isLate ? 'late' : 'asleep', revision, serves: null }
  return { ...worst, serves: worst.serves ?? ends.find(({ serves }) => serves !== null)?.serves ?? null }
}

const RANK: Readonly<Record<RolloutOutcome, number>> = {
  asleep: 0,
  serves: 1,
  superseded: 2,
  late: 3,
  failed: 4,
  rejected: 5,
}
