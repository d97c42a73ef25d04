import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import type { App } from '../../model/app.ts'
import { type AccessFlags, accessOptions, sayAccess, withFlags } from '../access-flags.ts'
import { changeApp } from '../change-app.ts'
import { type CallFlags, callsMaster, collect } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & AccessFlags & { readonly clear?: true }

export function define(command: Command, terminal: Terminal): void {
  accessOptions(command.argument('<name>', 'the app'))
    .option('--forget <network>', 'take a network out of both lists; may be repeated', collect)
    .option('--no-rate', 'no limit for all clients together')
    .option('--no-rate-per-client', 'no limit for each client')
    .option('--clear', 'take away all rules that are not given along with it')
    .addHelpText(
      'after',
      `
Without flags it shows the rules. Rules are applied before the app is woken, and a change restarts nothing. A client that may not use
the app gets 403 not-allowed. Requests beyond a rate get 429 rate-limited with Retry-After. Each front counts for itself. If a proxy of
your own is in front, name it in SHADOW_TRUSTED_PROXIES; otherwise all its clients count as one. Requests beyond --in-flight wait, and
get 503 queue-full if too many wait. An app that takes longer than --answer-within for its first byte gets 504 answer-late.`,
    )
    .action(async (name: string, flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const app = await orNearApps(master, name, () =>
        changes(flags) ? change(master, name, flags) : master.call('getApp', { params: { app: name }, query: DIGESTS }),
      )
      const document = { app: app.name, access: app.access ?? { allow: [], deny: [] } }
      print(terminal, flags.json, document, () => sayAccess(terminal, app.access))
    })
  callsMaster(
    command,
    'shadow access blog',
    'shadow access blog --deny 203.0.113.7 --rate 100/s --rate-per-client "5/s burst 20"',
    'shadow access blog --clear --allow 10.0.0.0/8 --allow 2001:db8::/32',
    'shadow access blog --https redirect --hsts 365d',
  )
}

const changes = ({ allow, deny, forget, rate, ratePerClient, https, hsts, inFlight, answerWithin, clear }: Flags) =>
  [allow, deny, forget, rate, ratePerClient, https, hsts, inFlight, answerWithin, clear].some(one => one !== undefined)

const change = (master: MasterClient, name: string, flags: Flags): Promise<App> =>
  changeApp(master, name, ({ access }, headers) => {
    const body = withFlags(flags, name, flags.clear ? undefined : access, access)
    return master.call('setAccess', { params: { app: name }, body, headers, query: DIGESTS })
  })
