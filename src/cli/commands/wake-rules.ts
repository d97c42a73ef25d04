import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import type { App } from '../../model/app.ts'
import { NO_WAKE_RULES } from '../../model/wake-rules.ts'
import { changeApp } from '../change-app.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { changesWakeRules, sayWakeRules, type WakeFlags, wakeOptions, withWakeFlags } from '../wake-flags.ts'

type Flags = CallFlags & WakeFlags

export function define(command: Command, terminal: Terminal): void {
  wakeOptions(command.argument('<name>', 'the app'))
    .addHelpText(
      'after',
      `
Without flags it shows the rules. A request that matches a rule does not wake the app: it gets 409 app-asleep. While the app is awake, such
requests are served, and do not put its sleep off. A rule has one or more of path:, agent:, method: and network:, and matches if all of them do.
A path is compared as a whole, decoded and without the query; agent: is a part of User-Agent in upper or lower case; * stands for any
characters. /robots.txt, /favicon.ico and each --answer are answered by the last answer of the app while it sleeps, if everybody gets the same.
Fronts apply the rules, and a change restarts nothing. shadow why tells which requests did not wake the app.`,
    )
    .action(async (name: string, flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const app = await orNearApps(master, name, () =>
        changesWakeRules(flags)
          ? change(master, name, flags)
          : master.call('getApp', { params: { app: name }, query: DIGESTS }),
      )
      const document = { app: app.name, wake: app.wake ?? NO_WAKE_RULES }
      print(terminal, flags.json, document, () => sayWakeRules(terminal, app.wake))
    })
  callsMaster(
    command,
    'shadow wake-rules blog',
    'shadow wake-rules blog --ignore "path:/wp-*" --ignore "agent:bot" --ignore "method:HEAD path:/"',
    'shadow wake-rules blog --answer /healthz',
    'shadow wake-rules blog --forget "agent:bot" --forget /healthz',
  )
}

const change = (master: MasterClient, name: string, flags: Flags): Promise<App> =>
  changeApp(master, name, ({ wake }, headers) => {
    const body = withWakeFlags(flags, name, wake)
    return master.call('setWakeRules', { params: { app: name }, body, headers, query: DIGESTS })
  })
