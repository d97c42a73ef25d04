import type { Command } from 'commander'
import { isFailure, type Problem, ShadowError } from '../../lib/errors.ts'
import type { App, Volume } from '../../model/app.ts'
import type { InstanceView, LogLine } from '../../model/instance.ts'
import { sayBytes } from '../../model/quantities.ts'
import { TASK_DEFAULTS, type TaskDefinition } from '../../model/task.ts'
import { sayAccess } from '../access-flags.ts'
import { type CallFlags, callsMaster, RAW, type RawFlags } from '../command-options.ts'
import { instanceOf } from '../find-instance.ts'
import { readLog, showLine } from '../log-lines.ts'
import { orNearApps } from '../near-apps.ts'
import { facts, print } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { saySteps } from '../steps.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'

type Status = {
  readonly app: App
  readonly urls: readonly string[]
  readonly instance: InstanceView | null
  /** The error of a node that does not answer; the instance is not known then. */
  readonly problem: Problem | null
  readonly volume: Volume | null
  readonly lastLines: readonly LogLine[]
}

const LAST_LINES = 10

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option(...RAW)
    .action(async (name: string, flags: CallFlags & RawFlags) => {
      if (flags.raw) terminal.raw()
      const { master, front } = await findTarget(terminal, flags)
      const app = await orNearApps(master, name, () => master.call('getApp', { params: { app: name }, query: DIGESTS }))
      const { volume } = app.task
      const [instance, stored] = await Promise.all([
        instanceOf(master, name).catch(orUnknown),
        volume && master.call('getVolume', { params: { volume: volume.id } }),
      ])
      const unknown = instance instanceof ShadowError
      const lastLines =
        instance === undefined || unknown ? [] : await Array.fromAsync(readLog(master, name, { tail: LAST_LINES }))
      const status = {
        app: printable(app),
        urls: urlsOf(app, front),
        instance: (unknown ? undefined : instance) ?? null,
        problem: unknown ? instance.toProblem() : null,
        volume: stored ?? null,
        lastLines,
      }
      print(terminal, flags.json, status, () => show(terminal, status))
    })
  callsMaster(command, 'shadow status blog')
}

function orUnknown(error: unknown): ShadowError {
  if (isFailure(error, 'node-unreachable', 'volume-lost')) return error
  throw error
}

function show(terminal: Terminal, { app, urls, instance, problem, volume, lastLines }: Status): string {
  const { task } = app
  const text = facts(terminal, [
    ['app', app.name],
    ['state', sayState(instance, problem)],
    ['to mend it', problem?.hint],
    ['url', urls.join('\n') || undefined],
    ['node', instance?.node],
    ['woken by', instance?.wokenBy ?? undefined],
    ['last wake', instance?.lastWake ? saySteps(instance.lastWake) : undefined],
    ['waiting', instance?.waiting ? String(instance.waiting) : undefined],
    [
      'in use by',
      instance?.holds.map(({ kind, what, since }) => `${kind} ${what} since ${since}`).join('\n') || undefined,
    ],
    ['sleeps at', instance?.sleepsAt ?? undefined],
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
      instance?.container ? `${instance.container.id.slice(0, 12)} at ${instance.container.address}` : undefined,
    ],
    ['revision', `${task.revision} of ${task.createdAt}`],
    [
      'not taken',
      instance?.rejected
        ? `revision ${instance.rejected.revision}; an earlier one runs: ${instance.rejected.problem.detail}`
        : undefined,
    ],
    ['image', task.pinned === undefined ? task.image : `${task.image}, ${task.pinned.id.slice(0, 19)}`],
    ['command', task.command?.join(' ')],
    ['environment', Object.keys(task.env).join(' ') || undefined],
    ['port', task.portFrom === 'image' ? `the one that its image exposes, else ${task.port}` : String(task.port)],
    ['ready', sayReady(task)],
    ['limits', sayLimits(task)],
    ['disk', sayDisk(task, instance)],
    ['may reach', task.egress?.join(', ')],
    ['sleeps after', task.sleep.idleAfter],
    ['access', app.access && sayAccess(terminal, app.access).trimEnd()],
    ['volume', task.volume && `${task.volume.id}, ${sayVolume(task.volume, instance)}${sayLease(volume)}`],
  ])
  const lines = lastLines.map(line => showLine(terminal, line)).join('')
  return lines === '' ? text : `${text}\n${lines}`
}

function sayState(instance: InstanceView | null, problem: Problem | null): string {
  if (problem?.code === 'volume-lost') return `volume-lost: ${problem.detail}`
  if (problem !== null) return `unknown: ${problem.detail}`
  return instance === null ? 'asleep' : `${instance.phase} since ${instance.since}`
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
  return ''
}
