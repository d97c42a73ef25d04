import type { Command } from 'commander'
import { type CallFlags, callsMaster, collect } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { printable } from '../printable.ts'
import { whileShown } from '../spinner.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'

type Flags = CallFlags & { snapshot?: string; domain?: readonly string[] }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<app>', 'the app, which serves on')
    .argument('<name>', 'the name of the new app')
    .option('--snapshot <snapshot>', 'the data of this snapshot; left out: the data of now')
    .option('--domain <hostname>', 'left out: the hostname that follows from its name; may be repeated', collect)
    .action(async (app: string, name: string, flags: Flags) => {
      const { master, front } = await findTarget(terminal, flags)
      const { snapshot, domain } = flags
      const body = { name, ...(snapshot && { snapshot }), ...(domain && { domains: [...domain] }) }
      const signal = new AbortController().signal // a large volume takes long
      const made = await orNearApps(master, app, () =>
        whileShown(terminal, `making ${name} of ${app}`, () =>
          master.call('forkApp', { params: { app }, body, signal }),
        ),
      )
      print(terminal, flags.json, printable(made), () => `${urlsOf(made, front).join('\n')}\n`)
      const data = made.task.volume === undefined ? '' : `, with the data of ${snapshot ?? 'now'}`
      terminal.err(`${made.name} is a fork of ${app}${data}; its first request wakes it\n`)
    })
  callsMaster(command, 'shadow fork blog blog-test', 'shadow fork blog blog-old --snapshot 20261129-140512')
}
