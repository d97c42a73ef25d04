import type { MasterClient } from '../../api/client.ts'
import { isFailure } from '../../lib/errors.ts'
import type { App, Node, Volume } from '../../model/app.ts'
import type { InstanceView } from '../../model/instance.ts'
import { sayBytes, sayMs } from '../../model/quantities.ts'
import { allApps } from '../near-apps.ts'
import { skewFinding } from './clocks.ts'
import { domainFindings } from './domains.ts'
import { type Check, type Finding, ok, problem, warning } from './finding.ts'

type Options = { readonly master: MasterClient; readonly url: string; readonly now: () => number }

const NEARLY_FULL = 0.9
const FULL = 0.97
const VERIFIED_WITHIN_MS = 30 * 86_400_000

/** What can be seen through a master: itself, its nodes, apps, volumes and backups. */
export function clusterChecks({ master, url, now }: Options): readonly Check[] {
  const apps = memo(() => allApps(master))
  const instances = memo(() => master.call('listInstances', {}))
  return [
    {
      name: 'master',
      async run() {
        const answer = await master.raw('listNodes', {})
        for await (const _ of answer.body); // the connection is used again
        const about = { check: 'master', what: 'the master, and the token for it', where: url }
        const { storage } = await master.call('health', {}) // it fails where the storage does not answer
        return [
          ok({ ...about, value: `answers, and so does its store, ${storage}` }),
          ...skewFinding(answer.headers['date'], now(), `the master at ${url}`),
        ]
      },
    },
    { name: 'nodes', run: async () => nodeFindings((await master.call('listNodes', {})).items) },
    { name: 'apps', run: async () => appFindings(await apps(), await instances()) },
    {
      name: 'volumes',
      run: async () => volumeFindings((await master.call('listVolumes', { query: {} })).items, now()),
    },
    {
      name: 'backups',
      run: async () => (await Promise.all((await apps()).map(app => backupFindings(master, app)))).flat(),
    },
    { name: 'domains', run: async signal => domainFindings(await apps(), signal) },
  ]
}

function memo<T>(read: () => Promise<T>): () => Promise<T> {
  let reading: Promise<T> | undefined
  return () => {
    reading ??= read()
    return reading
  }
}

function nodeFindings(nodes: readonly Node[]): Finding[] {
  if (nodes.length === 0)
    return [
      problem(
        { check: 'nodes', what: 'nodes', where: 'the cluster', value: 'none, so that no app can be woken' },
        'start one: shadow up, or shadow node token NAME and shadow node join on its machine',
      ),
    ]
  const versions = new Set(nodes.map(({ version }) => version))
  return [
    ...nodes.map(nodeFinding),
    ...nodes.flatMap(({ name, clockAheadMs = 0 }) =>
      clockAheadMs === 0
        ? []
        : [
            problem(
              {
                check: 'clock',
                what: 'the clock of a node, beside that of the master',
                where: name,
                value: `${sayMs(Math.abs(clockAheadMs))} ${clockAheadMs > 0 ? 'ahead' : 'behind'}`,
              },
              `on ${name}: timedatectl set-ntp true; leases and certificates depend on it`,
            ),
          ],
    ),
    ...(versions.size > 1
      ? [
          warning(
            { check: 'nodes', what: 'versions of Shadow', where: 'the nodes', value: [...versions].join(', ') },
            'bring all nodes to one version',
          ),
        ]
      : []),
  ]
}

function nodeFinding({ name, state, since, trouble, cordon, memoryUtilization }: Node): Finding {
  const about = { check: 'nodes', what: 'a node', where: name, value: state }
  if (trouble === true)
    return problem({ ...about, value: `${state}: it cannot serve apps now` }, `on ${name}: shadow doctor --machine`)
  if (state !== 'healthy' && state !== 'draining')
    return problem(
      { ...about, value: since === undefined ? state : `${state} since ${since}` },
      `on ${name}: systemctl status shadow-nodeproxy; if it is gone for good: shadow node rm ${name} --lost`,
    )
  if (cordon !== undefined)
    return warning({ ...about, value: `${state}, and takes no new app` }, `shadow node uncordon ${name}`)
  if (memoryUtilization > NEARLY_FULL)
    return warning(
      { ...about, value: `${Math.round(100 * memoryUtilization)} % of its memory is in use` },
      'shadow stats tells which apps use it; add a node, or lower --memory',
    )
  return ok(about)
}

function appFindings(
  apps: readonly App[],
  { items, silent }: { readonly items: readonly InstanceView[]; readonly silent: readonly string[] },
): Finding[] {
  const bad = items.flatMap(appFinding)
  const names = new Set(bad.map(({ where }) => where))
  return [
    ...bad,
    ...silent.map(node =>
      problem(
        { check: 'nodes', what: 'a node', where: node, value: 'does not answer the master' },
        `is its port open for the master? on ${node}: systemctl status shadow-nodeproxy`,
      ),
    ),
    ...(bad.length === 0
      ? [ok({ check: 'apps', what: 'apps', where: 'all', value: `${apps.length - names.size} without a problem` })]
      : []),
  ]
}

function appFinding({
  app,
  phase,
  problem: fault,
  failures,
  rejected,
  memoryKill,
  drySleeps: _,
}: InstanceView): Finding[] {
  const about = { check: 'apps', where: app }
  const found: Finding[] = []
  if (phase === 'crashed')
    found.push(
      problem(
        { ...about, what: 'an app crashes', value: fault?.detail.split('\n', 1)[0] ?? `${failures} times in a row` },
        fault?.hint ?? `shadow why ${app}; shadow logs ${app}`,
      ),
    )
  if (phase === 'stuck')
    found.push(
      problem(
        { ...about, what: 'an app is stuck on its way to sleep', value: fault?.detail ?? 'stuck' },
        fault?.hint ?? `shadow status ${app} shows what is still held`,
      ),
    )
  if (rejected)
    found.push(
      problem(
        {
          ...about,
          what: 'a release was not taken, and an earlier one runs',
          value: `revision ${rejected.revision}: ${rejected.problem.detail.split('\n', 1)[0]}`,
        },
        `mend it and deploy again, or: shadow rollback ${app}`,
      ),
    )
  if (memoryKill)
    found.push(
      warning(
        { ...about, what: 'an app was out of memory', value: `${memoryKill.count} times, the last ${memoryKill.at}` },
        `give it more: shadow update ${app} --memory 1GiB`,
      ),
    )
  return found
}

function volumeFindings(volumes: readonly Volume[], now: number): Finding[] {
  const found = volumes.flatMap(volume => volumeFinding(volume, now))
  if (found.length > 0) return found
  return [ok({ check: 'volumes', what: 'volumes', where: 'all', value: `${volumes.length}, none of them nearly full` })]
}

function volumeFinding({ id, app, use, lost, backups }: Volume, now: number): Finding[] {
  const where = id
  const found: Finding[] = []
  if (lost !== undefined)
    found.push(
      problem(
        { check: 'volumes', what: 'a volume was lost', where, value: `with the node ${lost.node}, ${lost.at}` },
        `shadow backups ${id}, then: shadow restore ${id}`,
      ),
    )
  const share = use === undefined || use.sizeBytes === 0 ? 0 : use.usedBytes / use.sizeBytes
  if (use !== undefined && share >= NEARLY_FULL) {
    const value = `${sayBytes(use.usedBytes)} of ${sayBytes(use.sizeBytes)}`
    const about = { check: 'volumes', what: 'a volume is nearly full', where, value }
    const mend = `shadow volume grow ${app ?? id} --size SIZE, or remove files: shadow exec ${app ?? id} sh`
    found.push(share >= FULL ? problem(about, mend) : warning(about, mend))
  }
  if (backups?.isFailing)
    found.push(
      problem(
        {
          check: 'backups',
          what: 'the last backup of a volume failed',
          where,
          value: backups.newestAt ?? 'none is there',
        },
        `shadow backup ls ${id} tells why; then: shadow backup ${id}`,
      ),
    )
  else if (
    backups !== undefined &&
    backups.count > 0 &&
    now - Date.parse(backups.verifiedAt ?? '') > VERIFIED_WITHIN_MS
  )
    found.push(unverified(where, backups.verifiedAt))
  else if (backups !== undefined && backups.count > 0 && backups.verifiedAt === undefined)
    found.push(unverified(where, undefined))
  return found
}

const unverified = (where: string, at: string | undefined): Finding =>
  warning(
    { check: 'backups', what: 'no backup was restored for a test lately', where, value: at ?? 'never' },
    `shadow backup verify ${where}; by itself: shadow backup policy ${where} --verify 7d`,
  )

/** A policy whose first backup has not been made, which the list of volumes does not tell. */
async function backupFindings(master: MasterClient, { name, task }: App): Promise<Finding[]> {
  if (task.volume === undefined) return []
  try {
    const { policy, items, failure } = await master.call('listBackups', { params: { app: name } })
    if (failure !== null && failure.kind !== 'backup')
      return [
        problem(
          { check: 'backups', what: `the last ${failure.kind} failed`, where: name, value: failure.problem.detail },
          failure.problem.hint ?? `shadow backup ls ${name}`,
        ),
      ]
    return policy !== null || items.length > 0 ? [] : [withoutBackups(name)]
  } catch (error) {
    if (isFailure(error, 'not-found')) return [withoutBackups(name)]
    throw error
  }
}

const withoutBackups = (name: string): Finding =>
  warning(
    { check: 'backups', what: 'a volume without backups', where: name, value: 'none' },
    `shadow backup ${name} now; by itself: shadow backup policy ${name} --every 1d`,
  )
