import { setTimeout as wait } from 'node:timers/promises' // a timer of the clock keeps no process alive
import type { Command } from 'commander'
import { systemClock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Node, Volume } from '../../model/app.ts'
import { duration, sayBytes, sayMs, toMs } from '../../model/quantities.ts'
import { type CallFlags, callsMaster, DRY_RUN, type DryRunFlags } from '../command-options.ts'
import { confirm } from '../confirm.ts'
import { joinCommands } from '../join.ts'
import { print, table } from '../print.ts'
import { findTarget, type Target } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { showOrWatch, WATCH, type WatchFlags } from '../watch.ts'

type Master = Target['master']
type DrainFlags = CallFlags & { deadline: string; keepVolumes?: true; stopVolumes?: true }

const ASKED_EVERY_MS = 1_000
/** Beyond the deadline of a drain: a node hears of the deadline late, and its last apps need time to stop. */
const MARGIN_MS = 60_000

export function define(command: Command, terminal: Terminal): void {
  const ls = command.command('ls').description('list nodes with their states, those that are gone too')
  callsMaster(ls.option(...WATCH), 'shadow node ls', 'shadow node ls --watch').action(
    async (flags: CallFlags & WatchFlags) => {
      const { master } = await findTarget(terminal, flags)
      await showOrWatch(terminal, flags, {
        read: async () => ({ nodes: (await master.call('listNodes', {})).items.map(withoutKey) }),
        show: ({ nodes }) => table(terminal, HEADER, nodes.map(row)),
        notes: ({ nodes }) =>
          nodes
            .map(({ name, clockAheadMs }) => (clockAheadMs === undefined ? '' : sayClock(name, clockAheadMs)))
            .join(''),
      })
    },
  )

  const cordon = command
    .command('cordon')
    .description('let a node take no app that it does not have')
    .argument('<node>')
  callsMaster(cordon, 'shadow node cordon node-1').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const node = await master.call('cordonNode', { params: { node: name } })
    print(terminal, flags.json, withoutKey(node), () => '')
    terminal.err(`${name} takes no app that it does not have already\n`)
  })

  const uncordon = command
    .command('uncordon')
    .description('let a node take apps again; ends a drain')
    .argument('<node>')
  callsMaster(uncordon, 'shadow node uncordon node-1').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const node = await master.call('uncordonNode', { params: { node: name } })
    print(terminal, flags.json, withoutKey(node), () => '')
    terminal.err(`${name} takes apps again\n`)
  })

  const rm = command
    .command('rm')
    .description('remove a node that is drained, and revoke its tokens')
    .argument('<node>')
    .option('--lost', 'the machine is gone for good, and the volumes on its disk with it')
    .option(...DRY_RUN)
    .option('--yes', 'do not ask')
  callsMaster(rm, 'shadow node rm node-1').action(async (name: string, flags: CallFlags & RmFlags) => {
    const { master } = await findTarget(terminal, flags)
    const lost = flags.lost ? 'true' : 'false'
    if (flags.lost || flags.dryRun) {
      const plan = await master.call('removeNode', { params: { node: name }, query: { lost, dryRun: 'true' } })
      terminal.err(sayRemoval(plan))
      if (flags.dryRun) {
        print(terminal, flags.json, { dryRun: true, ...plan }, () => '')
        terminal.err(`would remove the node ${name}; nothing was done\n`)
        return
      }
      await confirm(terminal, flags.yes, `removes the node ${name} for good, ${sayLost(plan.lost)}`, name)
    }
    const done = await master.call('removeNode', { params: { node: name }, query: { lost } })
    print(terminal, flags.json, done, () => '')
    terminal.err(`${name} is removed, and its tokens open nothing any more\n`)
  })

  const drain = command
    .command('drain')
    .description('let all apps leave a node, and wait for it; asleep apps are not woken for that')
    .argument('<node>')
    .option('--deadline <time>', 'apps in use are put to sleep after this time', '5m')
    .option(
      '--keep-volumes',
      'apps whose volume is on the disk of the node stay, and the node serves them on (shadow move moves them)',
    )
    .option('--stop-volumes', 'such apps sleep until the node is uncordoned')
  callsMaster(drain, 'shadow node drain node-1 --deadline 10m').action(async (name: string, flags: DrainFlags) => {
    const { master } = await findTarget(terminal, flags)
    if (flags.keepVolumes && flags.stopVolumes)
      throw new ShadowError('bad-input', '--keep-volumes and --stop-volumes exclude each other')
    const deadline = duration(flags.deadline)
    const volumes = flags.keepVolumes ? 'keep' : flags.stopVolumes ? 'stop' : 'refuse'
    const { cordon } = await master.call('drainNode', { params: { node: name }, body: { deadline, volumes } })
    terminal.err(`${name} drains; apps in use have until ${cordon?.drain?.until}\n`)
    const drained = await untilDrained(terminal, master, name, toMs(deadline) + MARGIN_MS)
    print(terminal, flags.json, withoutKey(drained), () => '')
    terminal.err(`${name} is drained: ${saysOfVolumes[volumes]}\n`)
  })

  joinCommands(command, 'node', terminal)
}

type RmFlags = DryRunFlags & { lost?: true; yes?: true }
type Plan = { readonly lost: readonly Volume[]; readonly free: readonly Volume[] }

const sayLost = (lost: readonly Volume[]): string => {
  if (lost.length === 0) return 'with which no data is lost'
  return `and with it the data of ${lost.length === 1 ? 'one volume' : `${lost.length} volumes`}`
}

/** Says of each volume of the node what becomes of it. */
const sayRemoval = ({ lost, free }: Plan): string =>
  [
    ...lost.map(({ id, app, size }) => `lost: volume ${id}, ${size}, ${sayApp(app)}: it was on the disk of the node\n`),
    ...free.map(
      ({ id, app, lease }) => `kept: volume ${id}, ${sayApp(app)}: another node may take it from ${lease?.until} on\n`,
    ),
  ].join('')

const sayApp = (app: Volume['app']): string => (app === null ? 'which no app has' : `of the app ${app}`)

const saysOfVolumes = {
  refuse: 'nothing runs on it',
  keep: 'only apps whose volume is on its disk run on it',
  stop: 'nothing runs on it, and apps whose volume is on its disk sleep until it is uncordoned',
}

/** Waits until the node says that no app has to leave it, and tells of the progress. */
async function untilDrained(terminal: Terminal, master: Master, name: string, withinMs: number): Promise<Node> {
  const givesUpAt = systemClock.now() + withinMs
  let said: number | undefined
  for (;;) {
    const node = (await master.call('listNodes', {})).items.find(one => one.name === name)
    if (node?.cordon?.drain === undefined) throw new ShadowError('changed', `${name} was uncordoned, or removed`)
    if (node.state === 'gone')
      throw new ShadowError('node-unreachable', `${name} is gone since ${node.since}; it drains when it is back`, {
        hint: 'shadow node ls',
      })
    if (node.toLeave === 0) return node
    if (node.toLeave !== undefined && node.toLeave !== said)
      terminal.err(`${node.toLeave === 1 ? '1 app has' : `${node.toLeave} apps have`} still to leave it\n`)
    said = node.toLeave
    if (systemClock.now() >= givesUpAt)
      throw new ShadowError('app-stuck', `${name} is not drained; ${said} apps have still to leave it`, {
        hint: 'shadow ps, and shadow why for those on that node',
      })
    await wait(ASKED_EVERY_MS)
  }
}

const sayClock = (name: string, aheadMs: number): string =>
  `the clock of ${name} is ${sayMs(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'} the master's: set both by NTP (timedatectl set-ntp true)\n`

const withoutKey = ({ key: _, ...shown }: Node): Omit<Node, 'key'> => shown

const HEADER = ['NODE', 'STATE', 'SINCE', 'ADDRESS', 'ZONE', 'CPU', 'MEMORY', 'VOLUMES', 'AWAKE', 'VERSION']

const row = (node: Omit<Node, 'key'>): readonly string[] => [
  node.name,
  sayState(node),
  node.since ?? '-',
  node.address,
  node.labels?.['zone'] ?? '-',
  `${percent(node.cpuUtilization)} of ${node.cpus}`,
  `${percent(node.memoryUtilization)} of ${sayBytes(node.memoryBytes)}`,
  node.volumeSlots === undefined ? '-' : `${node.volumeSlots.total - node.volumeSlots.free}/${node.volumeSlots.total}`,
  String(node.awake),
  node.version ?? '-',
]

/** The state, and what an admin wants: `healthy,cordoned`; `drained` once no app has to leave the node. */
function sayState({ state, cordon, toLeave }: Omit<Node, 'key'>): string {
  if (cordon === undefined) return state
  if (cordon.drain === undefined) return `${state},cordoned`
  if (state === 'draining') return toLeave === 0 ? 'drained' : state
  return `${state},draining`
}

const percent = (part: number): string => `${Math.round(part * 100)}%`
