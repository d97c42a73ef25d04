import type { Command } from 'commander'
import type { App } from '../../model/app.ts'
import type { InstanceView, Phase } from '../../model/instance.ts'
import { sayMs } from '../../model/quantities.ts'
import { allApps } from '../near-apps.ts'
import { type CallFlags, callsMaster } from '../options.ts'
import { print, table } from '../output.ts'
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
    const rows = apps.map(app => rowOf(app, items, silent))
    print(terminal, flags.json, { apps: rows, silent }, () => show(terminal, rows))
    for (const node of silent) terminal.err(`node ${node} does not answer; what runs there is not shown\n`)
    if (apps.length === 0) terminal.err('no apps yet; register one: shadow register --help\n')
  })
  callsMaster(command, 'shadow ps')
}

// An app that slept on one node and runs on another is reported by both nodes.
function rowOf(app: App, instances: readonly InstanceView[], silent: readonly string[]): Row {
  const own = instances.filter(instance => instance.app === app.name)
  const instance = own.find(({ phase }) => phase !== 'asleep') ?? own[0]
  return {
    name: app.name,
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
