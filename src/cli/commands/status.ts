import type { Command } from 'commander'
import { isFailure, type Problem, ShadowError } from '../../lib/errors.ts'
import type { App, Volume } from '../../model/app.ts'
import { sayIdleCheck } from '../../model/idle-check.ts'
import { type InstanceView, type LogLine, sayPhase } from '../../model/instance.ts'
import { sayPause } from '../../model/pause.ts'
import { sayBytes } from '../../model/quantities.ts'
import { sayUse } from '../../model/say-use.ts'
import { sayScale } from '../../model/scale.ts'
import { TASK_DEFAULTS, type TaskDefinition } from '../../model/task.ts'
import { sayTcpPort } from '../../model/tcp.ts'
import { sayAccess } from '../access-flags.ts'
import { type CallFlags, callsMaster, RAW, type RawFlags } from '../command-options.ts'
import { sayBudgetState } from '../explain-budget.ts'
import { sayComing, sayFormer } from '../explain-releases.ts'
import { type ShownSchedule, saySchedule } from '../explain-schedules.ts'
import { instanceOf, instancesOf } from '../find-instance.ts'
import { readLog, showLine } from '../log-lines.ts'
import { orNearApps } from '../near-apps.ts'
import { facts, print } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { saySteps } from '../steps.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'
import { sayWakeRules } from '../wake-flags.ts'
import { WATCH, watch } from '../watch.ts'

type Status = {
  readonly app: App
  readonly urls: readonly string[]
  readonly instance: InstanceView | null
  /** All that are not asleep, of an app that may have several. */
  readonly instances: readonly InstanceView[]
  /** The error of a node that does not answer; the instance is not known then. */
  readonly problem: Problem | null
  readonly volume: Volume | null
  readonly schedules: readonly ShownSchedule[]
  readonly lastLines: readonly LogLine[]
}

const LAST_LINES = 10
const WATCH_EVERY_MS = 1_000

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option(...WATCH)
    .option(...RAW)
    .action(async (name: string, flags: CallFlags & RawFlags & { readonly watch?: true }) => {
      if (flags.raw) terminal.raw()
      const { master, front } = await findTarget(terminal, flags)
      const read = async (): Promise<Status> => {
        const app = await orNearApps(master, name, () =>
          master.call('getApp', { params: { app: name }, query: DIGESTS }),
        )
        const { volume } = app.task
        const [instance, instances, stored, schedules] = await Promise.all([
          instanceOf(master, name).catch(orUnknown),
          instancesOf(master, app),
          volume && master.call('getVolume', { params: { volume: volume.id } }),
          master.call('listSchedules', { params: { app: name } }).catch(() => undefined), // an earlier master has none
        ])
        const unknown = instance instanceof ShadowError
        const lastLines =
          instance === undefined || unknown ? [] : await Array.fromAsync(readLog(master, name, { tail: LAST_LINES }))
        return {
          app: printable(app),
          urls: urlsOf(app, front),
          instance: (unknown ? undefined : instance) ?? null,
          instances,
          problem: unknown ? instance.toProblem() : null,
          volume: stored ?? null,
          schedules: schedules?.items ?? [],
          lastLines,
        }
      }
      const shown = (status: Status): string => show(terminal, status)
      if (flags.watch) await watch(terminal, { everyMs: WATCH_EVERY_MS, json: flags.json, read, show: shown })
      print(terminal, flags.json, await read(), shown)
    })
  callsMaster(command, 'shadow status blog')
}

function orUnknown(error: unknown): ShadowError {
  if (isFailure(error, 'node-unreachable', 'volume-lost')) return error
  throw error
}

function show(
  terminal: Terminal,
  { app, urls, instance, instances, problem, volume, schedules, lastLines }: Status,
): string {
  const { task } = app
  const text = facts(terminal, [
    ['app', app.name],
    ['state', sayState(instance, problem)],
    ['to mend it', problem?.hint],
    ['url', urls.join('\n') || undefined],
    ['node', instance?.node],
    ['instances', sayInstances(app, instances)],
    ['woken by', instance?.wokenBy ?? undefined],
    ['last wake', instance?.lastWake ? saySteps(instance.lastWake) : undefined],
    ['waiting', instance?.waiting ? String(instance.waiting) : undefined],
    ['in use by', instance?.holds.map(hold => `${sayUse(hold)} since ${hold.since}`).join('\n') || undefined],
    ['at work', instance?.atWork?.why],
    ['sleeps at', instance?.sleepsAt ?? undefined],
    ['frozen because', instance?.frozenBy],
    ['paused', app.paused && sayPause(app.paused)],
    ['budget', sayBudgetState(app, terminal.now())],
    ['problem', instance?.problem?.detail],
    [
      'out of memory',
      instance?.memoryKill ? `${instance.memoryKill.count} times, the last ${instance.memoryKill.at}` : undefined,
    ],
    ['bad answer', instance?.badAnswer ? `${instance.badAnswer.fault} (${instance.badAnswer.at})` : undefined],
    ['still held', instance?.held.join(', ') || undefined],
    ['failures', sayFailures(instance)],
    ['next try', instance?.retryAt ?? undefined],
    [
      'container',
      instance?.container
        ? `${instance.container.id.slice(0, 12)} at ${instance.container.address}, release ${instance.revision}`
        : undefined,
    ],
    ['earlier', sayFormers(terminal, instance)],
    ['on its way', instance ? sayComing(instance) : undefined],
    ['revision', `${task.revision} of ${task.createdAt}`],
    [
      'not taken',
      instance?.rejected
        ? `revision ${instance.rejected.revision}; an earlier one runs: ${instance.rejected.problem.detail}`
        : undefined,
    ],
    ['source', task.source?.digest.slice(0, 12)],
    ['image', task.pinned === undefined ? task.image : `${task.image}, ${task.pinned.id.slice(0, 19)}`],
    ['command', task.command?.join(' ')],
    ['environment', Object.keys(task.env).join(' ') || undefined],
    ['port', task.portFrom === 'image' ? `the one that its image exposes, else ${task.port}` : String(task.port)],
    ['ready', sayReady(task)],
    ['limits', sayLimits(task)],
    ['disk', sayDisk(task, instance)],
    ['may reach', task.egress?.join(', ')],
    ['on the wire', task.wire?.map(one => `${one.secret} to ${one.host} (${one.header})`).join(', ')],
    ['uses', task.uses?.join(', ')],
    ['used by', app.usedBy?.join(', ')],
    ['sleeps after', task.sleep.idleAfter],
    ['frozen after', task.sleep.freezeAfter],
    ['suspended after', task.sleep.suspendAfter],
    ['kept', task.sleep.keep],
    ['detached after', task.sleep.detachAfter],
    ['idle check', task.sleep.idleCheck && sayIdleCheck(task.sleep.idleCheck)],
    ['at work above', task.sleep.cpu === undefined ? undefined : `${task.sleep.cpu} % of its processors`],
    ['scale', app.scale && sayScale(app.scale)],
    ['tcp ports', app.tcp?.map(sayTcpPort).join('\n')],
    ['schedules', schedules.map(saySchedule).join('\n') || undefined],
    ['wake rules', app.wake && sayWakeRules(terminal, app.wake).trimEnd()],
    ['access', app.access && sayAccess(terminal, app.access).trimEnd()],
    ['volume', task.volume && `${task.volume.id}, ${sayVolume(task.volume, instance)}${sayLease(volume)}`],
  ])
  const lines = lastLines.map(line => showLine(terminal, line)).join('')
  return lines === '' ? text : `${text}\n${lines}`
}

/** Earlier releases that have not ended, with their containers. */
const sayFormers = (terminal: Terminal, instance: InstanceView | null): string | undefined =>
  instance?.formers
    ?.map(former => {
      const { id, address } = former.container
      return `${sayFormer(former, terminal.now())}; ${id.slice(0, 12)} at ${address}`
    })
    .join('\n') || undefined

/** Each instance with its node; undefined for an app that has one at most. */
const sayInstances = ({ scale }: App, instances: readonly InstanceView[]): string | undefined =>
  scale === undefined
    ? undefined
    : instances
        .map(({ instance, phase, node, revision }) => `${instance} ${phase} on ${node}, release ${revision}`)
        .join('\n') || 'none is awake'

function sayState(instance: InstanceView | null, problem: Problem | null): string {
  if (problem?.code === 'volume-lost') return `volume-lost: ${problem.detail}`
  if (problem !== null) return `unknown: ${problem.detail}`
  return instance === null ? 'asleep' : `${sayPhase(instance)} since ${instance.since}`
}

/** The count of failed wakes. An awake app keeps the count of failures before this wake until it has run for a while. */
function sayFailures(instance: InstanceView | null): string | undefined {
  if (!instance?.failures) return undefined
  return `${instance.failures} ${instance.phase === 'awake' ? 'before this wake' : 'in a row'}`
}

function sayReady({ ready, startWithin }: TaskDefinition): string {
  const how = ready.kind === 'http' ? `http:${ready.path}` : ready.kind === 'log' ? `log:${ready.line}` : ready.kind
  return `${how} within ${startWithin}`
}

function sayLimits({ limits }: TaskDefinition): string {
  const reserved = limits.reserve === undefined ? '' : ` (${limits.reserve} reserved)`
  const shm = limits.shm === undefined ? '' : `, shm ${limits.shm}`
  return `memory ${limits.memory}${reserved}${shm}, cpus ${limits.cpus}, pids ${limits.pids}`
}

function sayDisk({ limits }: TaskDefinition, instance: InstanceView | null): string | undefined {
  const used = instance?.diskBytes
  if (used === undefined) return limits.disk
  return `${sayBytes(used)} of ${limits.disk ?? TASK_DEFAULTS.disk} outside of its volume`
}

function sayVolume({ size, path }: NonNullable<TaskDefinition['volume']>, instance: InstanceView | null): string {
  const use = instance?.volume
  return `${use === undefined ? '' : `${sayBytes(use.usedBytes)} of `}${size} at ${path}`
}

function sayLease(volume: Volume | null): string {
  if (volume?.lost !== undefined) return `, lost with ${volume.lost.node}`
  const elsewhere = saidPlace(volume)
  if (volume?.lease) return `${elsewhere}, on ${volume.lease.node}`
  return elsewhere ? `${elsewhere}, on no node now` : ', not made yet'
}

/** Where the volume is, if that is not the disk of a node. */
function saidPlace(volume: Volume | null): string {
  if (volume?.driver === 'pool') return ', in the pool'
  if (volume?.driver === 'ebs') return volume.zone === undefined ? ', on EBS' : `, on EBS in ${volume.zone}`
  if (volume?.driver === 'digitalocean')
    return `, on DigitalOcean${volume.zone === undefined ? '' : ` in ${volume.zone}`}`
  return ''
}
