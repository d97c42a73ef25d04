import type { Command } from 'commander'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'

export function define(command: Command, terminal: Terminal): void {
  command.argument('<name>', 'the app').action(async (name: string, flags: CallFlags) => {
    const { master, front } = await findTarget(terminal, flags)
    const app = await orNearApps(master, name, () =>
      master.call('resumeApp', { params: { app: name }, query: DIGESTS }),
    )
    print(terminal, flags.json, app, () => {
      const [url] = urlsOf(app, front)
      return url === undefined ? `${name} can be woken\n` : `${name} can be woken: the next request to ${url} does\n`
    })
  })
  callsMaster(command, 'shadow resume blog')
}
