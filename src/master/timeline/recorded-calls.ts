import type { AppName } from '../../model/names.ts'
import type { Handlers } from '../call.ts'
import type { OwnEvents } from './own-events.ts'

type Recorded = Pick<Handlers, 'moveApp' | 'restoreVolume' | 'restoreApp' | 'removeApp'>

/** The same handlers, which record in the timelines of the apps what they did. */
export function recordedCalls(calls: Recorded, events: OwnEvents): Recorded {
  return {
    moveApp: (input, call) =>
      events.record(
        input.params.app,
        () => calls.moveApp(input, call),
        done => {
          if (done?.value.moved === false) return undefined
          const { to } = input.body
          const from = done?.value.from
          return { kind: 'move', by: call.caller?.name, node: to, detail: `${from ? `from ${from} ` : ''}to ${to}` }
        },
      ),
    restoreVolume: (input, call) =>
      events.record(
        // A volume has the name of its app.
        input.params.volume as string as AppName,
        () => calls.restoreVolume(input, call),
        done =>
          input.body.dryRun || done?.value.restored === false
            ? undefined
            : { kind: 'restore', by: call.caller?.name, detail: `the snapshot ${input.body.snapshot}` },
      ),
    restoreApp: (input, call) =>
      events.record(
        (input.body.to ?? input.params.app) as AppName,
        () => calls.restoreApp(input, call),
        done => {
          const { dryRun, undo, backup } = input.body
          if (dryRun) return undefined
          const id = done?.value.backup?.id ?? backup
          const what = undo ? 'what the last restore had replaced' : `the backup ${id?.slice(0, 8) ?? 'made last'}`
          const of = input.body.to === undefined ? '' : ` of ${input.params.app}`
          return { kind: 'restore', by: call.caller?.name, detail: `${what}${of}` }
        },
      ),
    removeApp: (input, call) =>
      events.forgetting(input.params.app, async () => void (await calls.removeApp(input, call))),
  }
}
