import type { Command } from 'commander'
import type { App } from '../../model/app.ts'
import type { InstanceView, Phase } from '../../model/instance.ts'
import { type InstanceId, instanceId } from '../../model/instance-id.ts'
import { sayMs } from '../../model/quantities.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { allApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import { paint, type Terminal } from '../terminal.ts'

/** The phase is `unknown` if no node reported the app and a node did not answer. */
type Row = {
  readonly name: string
  readonly phase: Phase | 'unknown'
  readonly since: string | null
  readonly node: string | null
  readonly sleepsAt: string | null
  readonly domains: readonly string[]
}

export function define(command: Command, terminal: Terminal): void {
  command.action(async (flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const [apps, { items, silent }] = await Promise.all([allApps(master), master.call('listInstances', {})])
    const rows = apps.flatMap(app => rowsOf(app, items, silent))
    print(terminal, flags.json, { apps: rows, silent }, () => show(terminal, rows))
    for (const node of silent) terminal.err(`node ${node} does not answer; what runs there is not shown\n`)
    if (apps.length === 0) terminal.err('no apps yet; register one: shadow register --help\n')
  })
  callsMaster(command, 'shadow ps')
}

/** One row for the plain instance, whether a node has it or not, and one for each other instance that a node has. */
function rowsOf(app: App, instances: readonly InstanceView[], silent: readonly string[]): Row[] {
  const own = Map.groupBy(
    instances.filter(one => one.app === app.name),
    one => one.instance,
  )
  const ids = new Set([instanceId(app.name), ...[...own.keys()].toSorted()])
  return [...ids].map(id => rowOf(id, app, own.get(id) ?? [], silent))
}

// An instance that slept on one node and runs on another is reported by both nodes.
function rowOf(id: InstanceId, app: App, own: readonly InstanceView[], silent: readonly string[]): Row {
  const instance = own.find(({ phase }) => phase !== 'asleep') ?? own[0]
  return {
    name: id,
    phase: instance?.phase ?? (silent.length > 0 ? 'unknown' : 'asleep'),
    since: instance?.since ?? null,
    node: instance?.node ?? null,
    sleepsAt: instance?.sleepsAt ?? null,
    domains: app.domains,
  }
}

const STYLES = { asleep: 'dim', awake: 'green', crashed: 'red', stuck: 'red', unknown: 'yellow' } as const

function show(terminal: Terminal, rows: readonly Row[]): string {
  if (rows.length === 0) return ''
  const now = terminal.now()
  const text = table(
    terminal,
    ['NAME', 'STATE', 'FOR', 'NODE', 'SLEEPS-IN', 'DOMAINS'],
    rows.map(({ name, phase, since, node, sleepsAt, domains }) => [
      name,
      phase,
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
