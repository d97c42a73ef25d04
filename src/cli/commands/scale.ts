import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import type { App } from '../../model/app.ts'
import { SCALE_DEFAULTS, sayScale } from '../../model/scale.ts'
import { changeApp } from '../change-app.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { hasScaleFlags, type ScaleFlags, scaleOptions, withScaleFlags } from '../scale-flags.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & ScaleFlags

export function define(command: Command, terminal: Terminal): void {
  scaleOptions(command.argument('<name>', 'the app'))
    .addHelpText(
      'after',
      `
Without flags it shows the rules. A change restarts nothing. Instances are started on several nodes, as the load asks for, and requests go
to the instance with the fewest in flight. Requests that no instance may be given wait for one, and get 503 queue-full after 30 s. With less
load, further instances get no more requests and sleep after a minute. --min 0 lets the last one sleep too (--idle-after). An app with a
volume has one instance. "default" takes a setting away.`,
    )
    .action(async (name: string, flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const app = await orNearApps(master, name, () =>
        hasScaleFlags(flags)
          ? change(master, name, flags)
          : master.call('getApp', { params: { app: name }, query: DIGESTS }),
      )
      const { min, max } = SCALE_DEFAULTS
      print(terminal, flags.json, { app: app.name, scale: app.scale ?? { min, max } }, () => `${sayScale(app.scale)}\n`)
    })
  callsMaster(
    command,
    'shadow scale blog',
    'shadow scale blog --max 8 --concurrency 20:40',
    'shadow scale blog --min 2 --max 8',
    'shadow scale blog --min default --max default --concurrency default',
  )
}

const change = (master: MasterClient, name: string, flags: ScaleFlags): Promise<App> =>
  changeApp(master, name, ({ scale }, headers) =>
    master.call('setScale', { params: { app: name }, body: withScaleFlags(flags, scale), headers, query: DIGESTS }),
  )
