import type { MasterClient } from '../api/client.ts'
import { fromProblem, ShadowError, systemCode } from '../lib/errors.ts'
import { readLines } from '../lib/http/api/events.ts'
import type { App } from '../model/app.ts'
import { type InstanceId, isPlain } from '../model/instance-id.ts'
import type { RolloutEnd, RolloutStep } from '../model/rollout.ts'

type Stage = RolloutStep & { readonly instance: InstanceId; readonly node: string; readonly revision: number }

/** `away`: a node that is away, and takes the revision when it is back. */
export type Settled = 'serves' | 'asleep' | 'away'

type Options = {
  /** Wakes the app if it sleeps; left out: its next wake starts the revision, and is not waited for. */
  readonly wake?: boolean
  /** Called with each stage of each instance. */
  readonly onStage?: ((stage: Stage) => void) | undefined
}

/**
 * Waits until all awake instances of an app run its current revision. If the revision did not become ready, this fails with its error, which
 * has the last lines of the app, and names the revision that serves on.
 */
export async function waitForRevision(
  master: MasterClient,
  { name, task }: App,
  { wake = false, onStage }: Options = {},
): Promise<Settled> {
  if (!wake && task.pinned === undefined) return 'asleep' // the app is on no node
  const end = await followRollout(master, name, task.revision, { wake, onStage })
  switch (end.outcome) {
    case 'serves':
    case 'asleep':
      return end.outcome
    case 'rejected':
      throw rejected(name, end)
    case 'superseded':
      throw new ShadowError('changed', `revision ${task.revision} of ${name} was superseded by a newer one`)
    case 'failed':
      if (!wake && end.problem?.code === 'node-unreachable') return 'away'
      throw fromProblem(end.problem) ?? notYet(name, end)
    case 'late':
      throw notYet(name, end)
  }
}

async function followRollout(
  master: MasterClient,
  app: string,
  revision: number,
  { wake, onStage }: Options,
): Promise<RolloutEnd> {
  const signal = new AbortController().signal // the master ends it in time
  const query = { revision, wake: wake ? ('true' as const) : ('false' as const) }
  try {
    const { body } = await master.raw('followRollout', { params: { app }, query, signal })
    for await (const line of readLines(body)) {
      if (line === '') continue
      const told = JSON.parse(line) as Stage | RolloutEnd
      if ('outcome' in told) return told
      onStage?.(told)
    }
  } catch (cause) {
    if (systemCode(cause) === undefined) throw cause
    throw new ShadowError('master-unreachable', 'the master was lost while the app was switched', {
      cause,
      hint: `shadow status ${app}`,
    })
  }
  throw new ShadowError('master-unreachable', 'the master ended before the app was switched', {
    hint: `shadow status ${app}`,
  })
}

/** A stage for people: `release 12, on n1: starting`. */
export function sayStage({ revision, instance, node, stage, why, problem }: Stage): string {
  const which = isPlain(instance) ? '' : `${instance} `
  const said = why ?? problem?.detail.split('\n', 1)[0]
  return `release ${revision}, ${which}on ${node}: ${stage}${said === undefined ? '' : ` (${said})`}`
}

function rejected(app: string, { revision, serves, problem }: RolloutEnd): ShadowError {
  const goesOn = serves === null ? 'no revision serves' : `revision ${serves} serves on`
  if (problem === undefined) return new ShadowError('app-not-ready', `revision ${revision} of ${app} is not taken`)
  const { code, detail, hint, faults, facts } = problem
  return new ShadowError(code, `revision ${revision} of ${app} is not taken, ${goesOn}: ${detail}`, {
    hint,
    faults,
    facts,
  })
}

const notYet = (app: string, { revision }: RolloutEnd): ShadowError =>
  new ShadowError('app-not-ready', `revision ${revision} of ${app} does not serve yet`, { hint: `shadow why ${app}` })
