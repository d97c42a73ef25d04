import { type Command, Option } from 'commander'
import type { Role } from '../../api/call-shape.ts'
import { ShadowError } from '../../lib/errors.ts'
import { type CallFlags, callsMaster, DRY_RUN, type DryRunFlags } from '../command-options.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

const ROLES = ['admin', 'node', 'proxy', 'owner'] as const satisfies readonly Role[]

export function define(command: Command, terminal: Terminal): void {
  const create = command
    .command('create')
    .description('make a token; it is shown only this once')
    .argument(
      '<name>',
      'name of the token; for the role node the name of the node: the token is good for that node only; for the role owner the name of the owner',
    )
    .option('--apps <patterns>', 'the apps that an owner has, by comma: names, or as ann-* all that begin so')
  create.addOption(
    new Option('--role <role>', 'what the token may do; default: owner with --apps, else admin').choices(ROLES),
  )
  const examples = [
    'shadow token create laptop',
    "shadow token create ann --apps 'ann-*'",
    'shadow token create node-2 --role node',
  ]
  callsMaster(create, ...examples).action(async (name: string, flags: CallFlags & { role?: Role; apps?: string }) => {
    const { master } = await findTarget(terminal, flags)
    const apps = flags.apps
      ?.split(',')
      .map(one => one.trim())
      .filter(Boolean)
    const role = flags.role ?? (apps === undefined ? 'admin' : 'owner')
    const made = await master.call('createToken', { body: { name, role, ...(apps && { apps }) } })
    print(terminal, flags.json, made, () => `${made.token}\n`)
    terminal.err(`keep it: it is not shown again (its id is ${made.id})\n`)
  })

  const ls = command.command('ls').description('list all tokens, without their secrets')
  callsMaster(ls, 'shadow token ls').action(async (flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const { items } = await master.call('listTokens', {})
    print(terminal, flags.json, { tokens: items }, () =>
      table(
        terminal,
        ['ID', 'NAME', 'ROLE', 'APPS', 'MADE'],
        items.map(({ id, name, role, apps, createdAt }) => [id, name, role, apps?.join(',') ?? '-', createdAt]),
      ),
    )
  })

  const rm = command
    .command('rm')
    .description('revoke a token')
    .argument('<id>')
    .option(...DRY_RUN)
  callsMaster(rm, 'shadow token rm 1f3a').action(async (id: string, flags: CallFlags & DryRunFlags) => {
    const { master } = await findTarget(terminal, flags)
    if (flags.dryRun) {
      const { items } = await master.call('listTokens', {})
      const token = items.find(one => one.id === id)
      if (token === undefined)
        throw new ShadowError('not-found', `there is no token ${id}`, { hint: 'shadow token ls' })
      print(terminal, flags.json, { dryRun: true, revokes: token }, () => '')
      terminal.err(`would revoke the token ${id} (${token.name}, role ${token.role}); nothing was done\n`)
      return
    }
    await master.call('removeToken', { params: { token: id } })
    print(terminal, flags.json, { removed: id }, () => '')
    terminal.err(`token ${id} is revoked\n`)
  })
}
