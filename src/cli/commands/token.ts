import { type Command, Option } from 'commander'
import type { Role } from '../../api/call-shape.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

const ROLES = ['admin', 'node', 'proxy'] as const satisfies readonly Role[]

export function define(command: Command, terminal: Terminal): void {
  const create = command
    .command('create')
    .description('make a token; it is shown only this once')
    .argument(
      '<name>',
      'name of the token; for the role node the name of the node: the token is good for that node only',
    )
  create.addOption(new Option('--role <role>', 'what the token may do').choices(ROLES).default('admin'))
  callsMaster(create, 'shadow token create laptop', 'shadow token create node-2 --role node').action(
    async (name: string, flags: CallFlags & { role: Role }) => {
      const { master } = await findTarget(terminal, flags)
      const made = await master.call('createToken', { body: { name, role: flags.role } })
      print(terminal, flags.json, made, () => `${made.token}\n`)
      terminal.err(`keep it: it is not shown again (its id is ${made.id})\n`)
    },
  )

  const ls = command.command('ls').description('list all tokens, without their secrets')
  callsMaster(ls, 'shadow token ls').action(async (flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const { items } = await master.call('listTokens', {})
    print(terminal, flags.json, { tokens: items }, () =>
      table(
        terminal,
        ['ID', 'NAME', 'ROLE', 'MADE'],
        items.map(({ id, name, role, createdAt }) => [id, name, role, createdAt]),
      ),
    )
  })

  const rm = command.command('rm').description('revoke a token').argument('<id>')
  callsMaster(rm, 'shadow token rm 1f3a').action(async (id: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    await master.call('removeToken', { params: { token: id } })
    print(terminal, flags.json, { removed: id }, () => '')
    terminal.err(`token ${id} is revoked\n`)
  })
}
