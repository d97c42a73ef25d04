import type { Command } from 'commander'
import { type Fault, ShadowError } from '../../lib/errors.ts'
import type { BudgetKind, BudgetLimits } from '../../model/budget.ts'
import { durationMs, sizeBytes } from '../../model/quantities.ts'
import { type CallFlags, callsMaster, parsedFlag } from '../command-options.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Of = { readonly owner?: string }
type SetFlags = CallFlags &
  Of & {
    readonly cost?: string
    readonly awake?: string
    readonly cpu?: string
    readonly requests?: string
    readonly egress?: string
  }

export function define(command: Command, terminal: Terminal): void {
  callsMaster(
    command
      .command('set')
      .description('set what an app, or all apps of an owner together, may use in a month of UTC')
      .argument('[app]')
      .option('--owner <name>', 'of an owner (shadow token create NAME --apps …) rather than of one app')
      .option('--cost <amount>', 'by the prices of the masters (SHADOW_PRICES)')
      .option('--awake <time>', 'how long its containers may run, such as 100h')
      .option('--cpu <time>', 'processor time, such as 10h')
      .option('--requests <count>')
      .option('--egress <size>', 'what its containers may send, such as 10GiB')
      .action(async (app: string | undefined, flags: SetFlags) => {
        const { master } = await findTarget(terminal, flags)
        const params = of(app, flags)
        const set = await master.call('setBudget', { params, body: limitsOf(flags) })
        print(terminal, flags.json, set, () => '')
        terminal.err(
          `the budget of ${params.name} is set; of this month's are spent ${set.says} (${percent(set.share)})\n`,
        )
      }),
    'shadow budget set blog --cost 5 --requests 1000000',
    'shadow budget set --owner ann --awake 200h',
  )
  callsMaster(
    command
      .command('ls')
      .description('list budgets, with how much of them is spent')
      .action(async (flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const budgets = await master.call('listBudgets', {})
        print(terminal, flags.json, budgets, ({ items }) =>
          table(
            terminal,
            ['of', 'spent', 'which is', 'state'],
            items.map(({ kind, name, share, says, state }) => [
              kind === 'app' ? name : `owner ${name}`,
              percent(share),
              says,
              state,
            ]),
          ),
        )
      }),
    'shadow budget ls',
  )
  callsMaster(
    command
      .command('rm')
      .description('remove a budget; what it kept asleep may be woken')
      .argument('[app]')
      .option('--owner <name>', 'of an owner')
      .action(async (app: string | undefined, flags: CallFlags & Of) => {
        const { master } = await findTarget(terminal, flags)
        const params = of(app, flags)
        await master.call('removeBudget', { params })
        print(terminal, flags.json, { removed: params.name }, () => '')
        terminal.err(`${params.name} has no budget any more\n`)
      }),
    'shadow budget rm blog',
    'shadow budget rm --owner ann',
  )
}

const percent = (share: number): string => `${Math.floor(100 * share)} %`

function of(app: string | undefined, { owner }: Of): { kind: BudgetKind; name: string } {
  if ((app === undefined) === (owner === undefined))
    throw new ShadowError('bad-input', 'name an app, or an owner by --owner')
  return owner === undefined ? { kind: 'app', name: app ?? '' } : { kind: 'owner', name: owner }
}

function limitsOf({ cost, awake, cpu, requests, egress }: SetFlags): BudgetLimits {
  const faults: Fault[] = []
  const read = <T>(flag: string, parse: (text: string) => T, text: string | undefined): T | undefined =>
    text === undefined ? undefined : parsedFlag(flag, parse, text, faults)
  const hours = (text: string): number => durationMs(text) / 3_600_000
  const limits = {
    cost: read('--cost', amount, cost),
    awakeHours: read('--awake', hours, awake),
    cpuHours: read('--cpu', hours, cpu),
    requests: read('--requests', amount, requests),
    egressBytes: read('--egress', sizeBytes, egress),
  }
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
}

function amount(text: string): number {
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0)
    throw new ShadowError('bad-input', `"${text.slice(0, 100)}" is no amount; write it like 5 or 2.50`)
  return value
}
