import type { Command } from 'commander'
import type { CallAnswer } from '../../api/call-shape.ts'
import type { fleetCalls } from '../../api/fleet-calls.ts'
import type { FleetReport } from '../../model/fleet.ts'
import { sayBytes } from '../../model/quantities.ts'
import { type CallFlags, callsMaster, collect } from '../command-options.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { readonly fleet: string }
type AllowFlags = Flags & { readonly node?: readonly string[]; readonly withoutNodes?: true }
type Fleet = CallAnswer<typeof fleetCalls.getFleet>

const FLEET = ['--fleet <name>', 'name of the fleet (SHADOW_FLEET_NAME of its fronts)', 'fleet'] as const

export function define(command: Command, terminal: Terminal): void {
  const ls = command
    .command('ls')
    .description('list the servers of the fleet, and what they cost')
    .option(...FLEET)
  callsMaster(ls, 'shadow fleet ls').action(async (flags: Flags) => {
    const fleet = await read(terminal, flags)
    print(terminal, flags.json, { fleet: flags.fleet, ...fleet }, ({ report }) => {
      const servers = report?.servers ?? []
      return table(
        terminal,
        ['SERVER', 'PHASE', 'SINCE', 'MACHINE', 'STATE', 'OFFER', 'ZONE', 'AWAKE', 'FREE', 'USD/HOUR'],
        servers.map(one => [
          one.node,
          one.phase,
          one.since,
          one.machine ?? '-',
          one.state ?? '-',
          one.offer || '-',
          one.zone ?? '-',
          one.awake === undefined ? '-' : String(one.awake),
          one.freeBytes === undefined ? '-' : sayBytes(one.freeBytes),
          dollars(one.usdPerHour),
        ]),
      )
    })
    terminal.err(sayLead(flags.fleet, fleet))
    for (const { node, note } of fleet.report?.servers ?? []) if (note !== undefined) terminal.err(`${node}: ${note}\n`)
    if (fleet.report !== undefined) terminal.err(sayCost({ ...fleet.report, plan: [] }))
  })

  const plan = command
    .command('plan')
    .description('show what the fleet does next and why, and what that costs')
    .option(...FLEET)
  callsMaster(plan, 'shadow fleet plan').action(async (flags: Flags) => {
    const fleet = await read(terminal, flags)
    const { report } = fleet
    const answer = {
      fleet: flags.fleet,
      leader: fleet.leader,
      at: report?.at,
      plan: report?.plan,
      notes: report?.notes,
    }
    print(terminal, flags.json, { ...answer, ...costs(report) }, () =>
      report === undefined || report.plan.length === 0
        ? ''
        : table(
            terminal,
            ['DO', 'SERVER', 'OFFER', 'USD/HOUR', 'WHY'],
            report.plan.map(one => [one.do, one.node, one.offer ?? '-', dollars(one.usdPerHour, true), one.why]),
          ),
    )
    terminal.err(sayLead(flags.fleet, fleet))
    if (report === undefined) return
    if (report.plan.length === 0) terminal.err('nothing is to be done\n')
    else if (report.isDryRun) terminal.err('nothing of this is done: SHADOW_FLEET_DRY_RUN is on\n')
    for (const note of report.notes) terminal.err(`${note}\n`)
    terminal.err(sayCost(report))
  })

  const allow = command
    .command('allow')
    .description('let a front run the fleet: make servers that join as nodes, drain, stop and remove them')
    .argument('<front>', 'name of the front in the cluster, or of its token')
    .option(...FLEET)
    .option(
      '--node <name>',
      'a node that is there already, and that the fleet may stop and start; may be repeated, and replaces those of before',
      collect,
    )
    .option('--without-nodes', 'the fleet has no such nodes any more')
  callsMaster(allow, 'shadow fleet allow front-1', 'shadow fleet allow front-1 --node node-3 --node node-4').action(
    async (front: string, { fleet, node, withoutNodes, ...flags }: AllowFlags) => {
      const { master } = await findTarget(terminal, flags)
      const nodes = withoutNodes ? [] : node
      await master.call('allowFleet', {
        params: { fleet, front },
        body: nodes === undefined ? {} : { nodes: [...nodes] },
      })
      print(terminal, flags.json, { allowed: front, fleet }, () => '')
      terminal.err(`${front} may run the fleet ${fleet}\n`)
    },
  )

  const deny = command
    .command('deny')
    .description('let a front run the fleet no more; its servers stay as they are')
    .argument('<front>')
    .option(...FLEET)
  callsMaster(deny, 'shadow fleet deny front-1').action(async (front: string, { fleet, ...flags }: Flags) => {
    const { master } = await findTarget(terminal, flags)
    await master.call('denyFleet', { params: { fleet, front } })
    print(terminal, flags.json, { denied: front, fleet }, () => '')
    terminal.err(`${front} runs the fleet ${fleet} no more\n`)
  })
}

async function read(terminal: Terminal, flags: Flags): Promise<Fleet> {
  const { master } = await findTarget(terminal, flags)
  return master.call('getFleet', { params: { fleet: flags.fleet } })
}

/** Who runs the fleet, and how old the report is. */
function sayLead(name: string, { fronts, leader, report }: Fleet): string {
  if (fronts.length === 0) return `no front may run the fleet ${name}: shadow fleet allow FRONT --fleet ${name}\n`
  if (leader !== null) return `${leader.front} runs the fleet ${name}${report ? `; as it was at ${report.at}` : ''}\n`
  const last = report === undefined ? '' : `; this is how it was at ${report.at}`
  return `no front runs the fleet ${name} now, of ${fronts.join(', ')}: is SHADOW_FLEET set there?${last}\n`
}

const HOURS_OF_MONTH = 730

/** What the fleet costs now, and when the plan is carried out; nothing where a price is not known. */
function costs(report: FleetReport | undefined) {
  const now = report?.usdPerHour
  const changes = report?.plan.map(({ usdPerHour }) => usdPerHour) ?? []
  const then =
    now === undefined || changes.includes(undefined)
      ? undefined
      : changes.reduce((sum: number, one) => sum + (one ?? 0), now)
  return { usdPerHour: now, usdPerHourThen: then, prices: report?.prices }
}

function sayCost(report: FleetReport): string {
  const { usdPerHour, usdPerHourThen: then } = costs(report)
  if (usdPerHour === undefined) return `what it costs is not known for all servers (prices: ${report.prices})\n`
  const monthly = (usd: number): string => `${dollars(usd)} USD an hour, ${(usd * HOURS_OF_MONTH).toFixed(2)} a month`
  const later = then === undefined || then === usdPerHour ? '' : `; then ${monthly(then)}`
  return `it costs ${monthly(usdPerHour)}${later} (prices: ${report.prices}; without traffic)\n`
}

const dollars = (usd: number | undefined, isChange = false): string =>
  usd === undefined ? '?' : `${isChange && usd > 0 ? '+' : ''}${usd.toFixed(4)}`
