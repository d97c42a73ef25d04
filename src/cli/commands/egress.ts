import type { Command } from 'commander'
import { destinationsOf, namesDomains } from '../../model/egress.ts'
import { updateEgress } from '../change-egress.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { waitForRevision } from '../wait-for-revision.ts'

export function define(command: Command, terminal: Terminal): void {
  const change = async (name: string, flags: CallFlags, changes: Parameters<typeof updateEgress>[2]) => {
    const { master } = await findTarget(terminal, flags)
    const app = await orNearApps(master, name, () => updateEgress(master, name, changes))
    print(terminal, flags.json, printable(app), () => '')
    await waitForRevision(master, app)
    return app.task.egress ?? []
  }
  callsMaster(
    command
      .command('ls')
      .description('what an app may reach besides its own hostnames')
      .argument('<name>', 'the app')
      .action(async (name: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const { task } = await orNearApps(master, name, () =>
          master.call('getApp', { params: { app: name }, query: DIGESTS }),
        )
        const list = task.egress ?? []
        print(terminal, flags.json, { items: list }, () => list.map(one => `${one}\n`).join(''))
        if (destinationsOf(list).internet) terminal.err(`${name} reaches the internet\n`)
      }),
    'shadow egress ls blog',
  )
  callsMaster(
    command
      .command('add')
      .description('let an app reach more; a domain closes the rest of the internet; makes its next revision')
      .argument('<name>', 'the app')
      .argument('<what...>', 'such as api.example.com, *.example.com:8443, 10.0.0.5:5432')
      .addHelpText(
        'after',
        '\nAn app that is awake and has domains already runs on: it is not started again for one more.',
      )
      .action(async (name: string, what: string[], flags: CallFlags) => {
        const list = await change(name, flags, { add: what })
        terminal.err(`${name} may reach ${list.join(', ')}${namesDomains(list) ? ', and nothing else' : ''}\n`)
      }),
    'shadow egress add blog api.example.com *.example.org',
  )
  callsMaster(
    command
      .command('rm')
      .description('let an app reach something no more, which ends its connections there; makes its next revision')
      .argument('<name>', 'the app')
      .argument('<what...>', 'as shadow egress ls shows it')
      .addHelpText('after', '\nWhere the last domain goes, the internet stays closed (none).')
      .action(async (name: string, what: string[], flags: CallFlags) => {
        const list = await change(name, flags, { remove: what })
        terminal.err(
          `${what.join(', ')}: ${name} does not reach it any more${list.length > 0 ? `; it may reach ${list.join(', ')}` : ''}\n`,
        )
      }),
    'shadow egress rm blog api.example.com',
  )
}
