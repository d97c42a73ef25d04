import type { Command } from 'commander'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { type CallFlags, callsMaster, RAW, type RawFlags } from '../command-options.ts'
import { explain, sayVolumeLost } from '../explain.ts'
import { sayBackups } from '../explain-backups.ts'
import { sayBudgetLeft } from '../explain-budget.ts'
import { sayScaling } from '../explain-scale.ts'
import { saySchedules } from '../explain-schedules.ts'
import { sayTcp } from '../explain-tcp.ts'
import { instanceOf, instancesOf } from '../find-instance.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'

function orLost(error: unknown): ShadowError {
  if (isFailure(error, 'volume-lost')) return error
  throw error
}

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option(...RAW)
    .action(async (name: string, flags: CallFlags & RawFlags) => {
      if (flags.raw) terminal.raw()
      const { master, front } = await findTarget(terminal, flags)
      const [app, instance] = await orNearApps(master, name, () =>
        Promise.all([
          master.call('getApp', { params: { app: name }, query: DIGESTS }),
          instanceOf(master, name).catch(orLost),
        ]),
      )
      if (instance instanceof ShadowError) {
        const why = sayVolumeLost(name, instance)
        const document = { app: name, phase: 'asleep', why, instance: null, problem: instance.toProblem() }
        return print(terminal, flags.json, document, () => `${why.join('\n')}\n`)
      }
      const instances = await instancesOf(master, app)
      const isAsleep = instance === undefined || instance.phase === 'asleep'
      const placement = isAsleep ? await master.call('getPlacement', { params: { app: name } }) : undefined
      const schedules = await master.call('listSchedules', { params: { app: name } }).catch(() => undefined) // an earlier master has none
      const sentences = [
        ...explain(app, instance, urlsOf(app, front), terminal.now(), placement),
        ...sayBudgetLeft(app, terminal.now()),
        ...sayScaling(app, instances),
        ...(await sayBackups(master, app, terminal.now())),
        ...saySchedules(schedules?.items ?? []),
        ...(await sayTcp(master, app)),
      ]
      const document = {
        app: app.name,
        phase: instance?.phase ?? 'asleep',
        why: sentences,
        instance: instance ?? null,
        instances,
        placement,
      }
      print(terminal, flags.json, document, () => `${sentences.join('\n')}\n`)
    })
  callsMaster(command, 'shadow why blog')
}
