import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { isFailure } from '../../lib/errors.ts'
import { json } from '../../lib/http/api/call.ts'
import type { App } from '../../model/app.ts'
import { SCALE_DEFAULTS, sayScale } from '../../model/scale.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { hasScaleFlags, type ScaleFlags, scaleOptions, withScaleFlags } from '../scale-flags.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & ScaleFlags

const TRIES = 5

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

// The call replaces all rules. If-Match makes it fail if somebody changed them in between; then it is tried again.
async function change(master: MasterClient, name: string, flags: ScaleFlags): Promise<App> {
  for (let tries = 1; ; tries++) {
    const answer = await master.raw('getApp', { params: { app: name }, query: DIGESTS })
    const { scale } = (await json(answer)) as App
    const body = withScaleFlags(flags, scale)
    try {
      const headers = { 'if-match': answer.headers.etag ?? '*' }
      return await master.call('setScale', { params: { app: name }, body, headers, query: DIGESTS })
    } catch (error) {
      if (!isFailure(error, 'changed') || tries === TRIES) throw error
    }
  }
}
