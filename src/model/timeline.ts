import type { WakeStep } from './instance.ts'
import type { InstanceId } from './instance-id.ts'
import type { NodeName } from './names.ts'

export const EVENT_KINDS = [
  'wake',
  'sleep',
  'crash',
  'deploy',
  'rollback',
  'update',
  'snapshot',
  'backup',
  'restore',
  'move',
  'problem',
] as const
export type EventKind = (typeof EVENT_KINDS)[number]

/** A step of a wake. Several run side by side, so each has its own start, counted from the start of the wake. */
export type StepTime = { readonly step: WakeStep; readonly startMs: number; readonly ms: number }

/** Something that happened to an app. */
export type AppEvent = {
  /** Unique among the events of the app. */
  readonly id: string
  /** ISO 8601 */
  readonly at: string
  readonly kind: EventKind
  readonly instance?: InstanceId | undefined
  readonly node?: NodeName | undefined
  readonly revision?: number | undefined
  /** The cause of a wake, the reason of a sleep, who or what made a release. */
  readonly by?: string | undefined
  readonly outcome?: 'ok' | 'failed' | undefined
  readonly ms?: number | undefined
  /** Of a wake. */
  readonly steps?: readonly StepTime[] | undefined
  readonly detail?: string | undefined
  /** The code of a problem. */
  readonly code?: string | undefined
}

/** Where a page of a timeline ends: the next page has the events before this one. */
export type EventCursor = Pick<AppEvent, 'at' | 'id'>

export const cursorOf = ({ at, id }: EventCursor): string => `${at}_${id}`

/** The cursor of the text; undefined if the text is none. */
export function parseCursor(text: string): EventCursor | undefined {
  const [, at = '', id = ''] = /^([^_]*)_(.+)$/.exec(text) ?? []
  return Number.isNaN(Date.parse(at)) || id === '' ? undefined : { at: new Date(at).toISOString(), id }
}

/** Sorts the newest event first. Events of one moment are in the order of their ids, which is the same in every page. */
export const newestFirst = (a: EventCursor, b: EventCursor): number =>
  compared(Date.parse(b.at), Date.parse(a.at)) || compared(b.id, a.id)

export const isBefore = (event: EventCursor, cursor: EventCursor | undefined): boolean =>
  cursor === undefined || newestFirst(event, cursor) > 0

const compared = <T extends number | string>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0)
