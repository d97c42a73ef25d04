import type { Command } from 'commander'
import type { App } from '../../model/app.ts'
import { type InstanceView, isRunning, type Phase } from '../../model/instance.ts'
import { type InstanceId, instanceId, isPlain } from '../../model/instance-id.ts'
import { sayMs } from '../../model/quantities.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { allApps } from '../near-apps.ts'
import { table } from '../print.ts'
import { findTarget } from '../target.ts'
import { paint, type Terminal } from '../terminal.ts'
import { showOrWatch, WATCH, type WatchFlags } from '../watch.ts'

/** The phase is `unknown` if no node reported the app and a node did not answer. */
type Row = {
  readonly name: string
  readonly phase: Phase | 'unknown'
  readonly isParked: boolean
  /** The releases that run: the one that serves, then those before it that have not ended. */
  readonly releases: readonly number[]
  readonly since: string | null
  readonly node: string | null
  readonly sleepsAt: string | null
  readonly domains: readonly string[]
  readonly isPaused: boolean
}

export function define(command: Command, terminal: Terminal): void {
  command.option('--sessions', 'list sessions of templates too').option(...WATCH)
  command.action(async (flags: CallFlags & WatchFlags & { readonly sessions?: true }) => {
    const { master } = await findTarget(terminal, flags)
    const read = async () => {
      const [apps, { items, silent }] = await Promise.all([
        allApps(master, flags.sessions ? 'with' : 'without'),
        master.call('listInstances', {}),
      ])
      return { apps: apps.flatMap(app => rowsOf(app, items, silent)), silent }
    }
    const notes = ({ apps, silent }: Awaited<ReturnType<typeof read>>): string => {
      const lines = silent.map(node => `node ${node} does not answer; what runs there is not shown\n`)
      return [...lines, ...(apps.length === 0 ? ['no apps yet; register one: shadow register --help\n'] : [])].join('')
    }
    await showOrWatch(terminal, flags, { read, show: ({ apps }) => show(terminal, apps), notes })
  })
  callsMaster(command, 'shadow ps', 'shadow ps --watch', 'shadow ps --sessions')
}

/** One row for the plain instance, whether a node has it or not, and one for each other instance that is not asleep. */
function rowsOf(app: App, instances: readonly InstanceView[], silent: readonly string[]): Row[] {
  const own = Map.groupBy(
    instances.filter(one => one.app === app.name && (isPlain(one.instance) || one.phase !== 'asleep')),
    one => one.instance,
  )
  const ids = new Set([
    instanceId(app.name),
    ...[...own.keys()].toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })),
  ])
  return [...ids].map(id => rowOf(id, app, own.get(id) ?? [], silent))
}

// An instance that slept on one node and runs on another is reported by both nodes.
function rowOf(id: InstanceId, app: App, own: readonly InstanceView[], silent: readonly string[]): Row {
  const instance = own.find(({ phase }) => phase !== 'asleep') ?? own[0]
  return {
    name: id,
    phase: instance?.phase ?? (silent.length > 0 ? 'unknown' : 'asleep'),
    isParked: instance?.parked === true,
    releases: releasesOf(instance),
    since: instance?.since ?? null,
    node: instance?.node ?? null,
    sleepsAt: instance?.sleepsAt ?? null,
    domains: app.domains,
    isPaused: app.paused !== undefined,
  }
}

const releasesOf = (instance: InstanceView | undefined): readonly number[] =>
  instance === undefined
    ? []
    : [...(isRunning(instance.phase) ? [instance.revision] : []), ...(instance.formers ?? []).map(one => one.revision)]

const STYLES = { asleep: 'dim', awake: 'green', crashed: 'red', stuck: 'red', unknown: 'yellow' } as const

function show(terminal: Terminal, rows: readonly Row[]): string {
  if (rows.length === 0) return ''
  const now = terminal.now()
  const text = table(
    terminal,
    ['NAME', 'STATE', 'RELEASE', 'FOR', 'NODE', 'SLEEPS-IN', 'DOMAINS'],
    rows.map(({ name, phase, isParked, releases, since, node, sleepsAt, domains, isPaused }) => [
      name,
      `${phase}${isParked ? ', parked' : ''}${isPaused ? ', paused' : ''}`,
      releases.join(' ') || '-',
      since === null ? '-' : sayMs(Math.max(0, now - Date.parse(since))),
      node ?? '-',
      sleepsAt === null ? '-' : sayMs(Math.max(0, Date.parse(sleepsAt) - now)),
      domains.join(' ') || '-',
    ]),
  )
  return text.replace(
    /^(\S+ +)(asleep|awake|crashed|stuck|unknown)\b/gm,
    (_, before: string, phase: keyof typeof STYLES) => before + paint(terminal, STYLES[phase], phase),
  )
}
