import type { Command } from 'commander'
import { updateDomains } from '../change-domains.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { printable } from '../printable.ts'
import { domainRow, missingOf } from '../say-domain.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { waitForRevision } from '../wait-for-revision.ts'

export function define(command: Command, terminal: Terminal): void {
  const change = async (
    name: string,
    flags: CallFlags,
    domains: { addDomain: readonly string[] } | { removeDomain: readonly string[] },
  ) => {
    const { master } = await findTarget(terminal, flags)
    const app = await orNearApps(master, name, () => updateDomains(master, name, {}, domains))
    print(terminal, flags.json, printable(app), () => '')
    await waitForRevision(master, app)
    return app
  }
  callsMaster(
    command
      .command('check')
      .description('find out where the hostnames of an app lead, and what is missing in the DNS')
      .argument('<name>', 'the app')
      .addHelpText(
        'after',
        `
The master looks: it asks its name servers, port 80 and port 443. Nothing is woken. The look at port 443 orders a certificate where none is, if
the masters order certificates (SHADOW_ACME_DIRECTORY). It exits 0 whatever it finds.`,
      )
      .action(async (name: string, flags: CallFlags) => {
        const { master } = await findTarget(terminal, flags)
        const found = await orNearApps(master, name, () => master.call('listDomains', { params: { app: name } }))
        print(terminal, flags.json, found, ({ items, zones = [] }) => {
          if (items.length === 0) return `${name} has no hostname: shadow domains add ${name} www.example.com\n`
          const rows = items.map(item => [...domainRow(item)])
          return `${table(terminal, ['hostname', 'leads to', 'certificate'], rows)}${missingOf(items, zones)
            .map(line => `${line}\n`)
            .join('')}`
        })
      }),
    'shadow domains check blog',
  )
  callsMaster(
    command
      .command('add')
      .description('let hostnames lead to an app; makes its next revision')
      .argument('<name>', 'the app')
      .argument('<hostname...>', 'such as www.example.com')
      .action(async (name: string, hostnames: string[], flags: CallFlags) => {
        await change(name, flags, { addDomain: hostnames })
        terminal.err(`${hostnames.join(', ')}: leads to ${name}, once its DNS does: shadow domains check ${name}\n`)
      }),
    'shadow domains add blog blog.example.com www.example.com',
  )
  callsMaster(
    command
      .command('rm')
      .description('let hostnames lead to an app no more; makes its next revision')
      .argument('<name>', 'the app')
      .argument('<hostname...>', 'as shadow domains check shows them')
      .action(async (name: string, hostnames: string[], flags: CallFlags) => {
        await change(name, flags, { removeDomain: hostnames })
        terminal.err(`${hostnames.join(', ')}: leads to ${name} no more\n`)
      }),
    'shadow domains rm blog www.example.com',
  )
}
