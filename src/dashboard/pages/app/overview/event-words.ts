import { withoutLastLines } from '../../../../model/last-lines.ts'
import type { AppEvent, EventKind } from '../../../../model/timeline.ts'

/** What a person reads of an event. `tone`: which colour it has; the words say the same. */
export type EventWords = { readonly text: string; readonly tone: 'awake' | 'asleep' | 'bad' | 'plain' }

/** What the words need to know of the app as it is now. */
export type AppNow = { readonly revision: number; readonly idleAfter: string }

const SLEEP_REASONS: Readonly<Record<string, string>> = {
  room: 'nobody used it, and another app needed its memory',
  memory: 'nobody used it, and its machine was short of memory',
  asked: 'somebody asked for it',
  updated: 'its definition changed',
  removed: 'it was removed',
  shutdown: 'its node was stopped',
  died: 'its container ended by itself',
  'lease-lost': 'its node could not keep the volume',
  drained: 'its node was drained, and nobody used it',
  'drain-deadline': 'its node was drained, and the time for its requests to end was over',
  self: 'the app asked for it',
  restored: 'its volume was restored',
  budget: 'its budget is spent',
  paused: 'it was paused',
  companion: 'an app that it uses left the node',
}

/** The event in a few words: its cause, and how it ended. Longer texts of the event are in `detailOf`. */
export function wordsOf(event: AppEvent, app: AppNow): EventWords {
  const failed = event.outcome === 'failed'
  switch (event.kind) {
    case 'wake':
      return failed
        ? {
            text: `Wake failed${after(event.code)}${event.by === undefined ? '' : `, asked for by ${event.by}`}`,
            tone: 'bad',
          }
        : { text: sayWoken(event.by), tone: 'awake' }
    case 'sleep':
      return {
        text: failed ? `Did not sleep in order${after(event.code)}` : `Slept: ${whySlept(event, app)}`,
        tone: failed ? 'bad' : 'asleep',
      }
    case 'crash':
      return { text: `Crashed: ${firstLine(event.detail) ?? event.code ?? 'its container ended'}`, tone: 'bad' }
    case 'problem':
      return { text: [event.code, firstLine(event.detail)].filter(Boolean).join(': ') || 'Problem', tone: 'bad' }
    default:
      return done(event, event.kind, failed)
  }
}

type Done = Exclude<EventKind, 'wake' | 'sleep' | 'crash' | 'problem'>

const DONE: Readonly<Record<Done, readonly [done: string, failed: string]>> = {
  deploy: ['Deployed', 'Deploy was not taken'],
  rollback: ['Rolled back', 'Rollback was not taken'],
  update: ['Definition changed', 'Change of the definition was not taken'],
  snapshot: ['Snapshot taken', 'Snapshot failed'],
  backup: ['Backed up', 'Backup failed'],
  restore: ['Volume restored', 'Restore failed'],
  move: ['Moved', 'Move failed'],
}

function done({ by, detail, code }: AppEvent, kind: Done, failed: boolean): EventWords {
  const who = by === undefined ? '' : ` by ${by}`
  const what = firstLine(detail)
  const text = `${DONE[kind][failed ? 1 : 0]}${who}${failed ? after(code) : ''}`
  return { text: what === undefined || failed ? text : `${text}: ${what}`, tone: failed ? 'bad' : 'plain' }
}

/** The rest of what an event says, such as the last lines that the app wrote; undefined if its words say it all. */
export function detailOf({ kind, outcome, detail }: AppEvent): string | undefined {
  const text = detail?.trim() ?? ''
  const isInWords = kind !== 'wake' && kind !== 'sleep' && outcome !== 'failed' && !text.includes('\n')
  return text === '' || isInWords ? undefined : text
}

function sayWoken(by: string | undefined): string {
  if (by === undefined) return 'Woken'
  return by.startsWith('release ') ? `Started ${by}` : `Woken by ${by}`
}

function whySlept({ by, revision }: AppEvent, app: AppNow): string {
  if (by === undefined) return 'the cause is not known'
  if (by !== 'idle') return SLEEP_REASONS[by] ?? by
  // The release that slept may have had another idle time than the one now.
  const isOfNow = revision === undefined || revision === app.revision
  return isOfNow && app.idleAfter !== 'never' ? `nobody used it for ${sayIdle(app.idleAfter)}` : 'nobody used it'
}

const UNITS: Readonly<Record<string, string>> = { ms: 'ms', s: 's', m: 'min', h: 'h', d: 'd' }

/** A duration of a definition as people write it: `1h30m` is `1 h 30 min`. */
export const sayIdle = (duration: string): string =>
  [...duration.matchAll(/(\d+(?:\.\d+)?)([a-z]+)/g)]
    .map(([, count, unit = '']) => `${count} ${UNITS[unit] ?? unit}`)
    .join(' ') || duration

const after = (code: string | undefined): string => (code === undefined ? '' : `: ${code}`)

function firstLine(text: string | undefined): string | undefined {
  const line = text && withoutLastLines(text).trim().split('\n', 1)[0]?.trim()
  return line === '' ? undefined : line
}
