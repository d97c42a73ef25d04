import type { Command } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { openBrowser } from '../browser.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'

type Flags = CallFlags & { readonly print?: true }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option('--print', 'only print the URL')
    .action(async (name: string, flags: Flags) => {
      const { master, front } = await findTarget(terminal, flags)
      const app = await orNearApps(master, name, () => master.call('getApp', { params: { app: name }, query: DIGESTS }))
      const [url] = urlsOf(app, front)
      if (url === undefined)
        throw new ShadowError('not-found', `${name} has no hostname`, { hint: `shadow update ${name} --domain HOST` })
      print(terminal, flags.json, { url }, () => `${url}\n`)
      if (flags.print !== true && flags.json !== true) await openBrowser(terminal, url)
    })
  callsMaster(command, 'shadow open blog')
}
