import type { AppName, NodeName } from './names.ts'
import { isInScope, type Scope } from './scope.ts'

/** What a webhook can be told of. */
export const NOTICE_EVENTS = ['crash', 'stuck', 'budget', 'backup', 'node'] as const
export type NoticeEvent = (typeof NOTICE_EVENTS)[number]
export const NOTICE_KINDS = [...NOTICE_EVENTS, 'test'] as const
export type NoticeKind = (typeof NOTICE_KINDS)[number]

/** The body of a request to a webhook, as JSON. */
export type Notice = {
  /** The same in each repetition: a receiver can leave out what it has seen. */
  readonly id: string
  /** When it happened, or was seen; ISO 8601. */
  readonly at: string
  readonly kind: NoticeKind
  readonly app?: string | undefined
  readonly node?: string | undefined
  /** A short sentence that is the same each time: `blog crashed`. */
  readonly subject: string
  readonly detail: string
  /** The code of the problem, as `app-crashed`. */
  readonly code?: string | undefined
  /** How many times it happened, in a notice that sums up several. */
  readonly times?: number | undefined
}

/** Something that happened, of which webhooks are told. */
export type Occurrence = Omit<Notice, 'id' | 'kind' | 'app' | 'node'> & {
  readonly kind: NoticeEvent
  readonly app?: AppName | undefined
  readonly node?: NodeName | undefined
  /** The apps that it is about, where that are several, or others than `app`. */
  readonly apps?: readonly AppName[] | undefined
  /** Tells this occurrence from others with the same subject. The id of the notice is made of it. */
  readonly mark: string
}

export type WebhookFilter = {
  readonly events: readonly NoticeEvent[]
  /** The apps whose notices are sent; null: those of all apps. Notices about nodes are of no app. */
  readonly apps: Scope | null
  readonly createdAt: string
}

/** The clocks of machines differ: what happened shortly before the webhook was made counts as later. */
const CLOCKS_DIFFER_BY_MS = 60_000

/** Whether the webhook is told of the occurrence. */
export function isWanted(
  { events, apps, createdAt }: WebhookFilter,
  { kind, app, apps: several, at }: Occurrence,
): boolean {
  if (!events.includes(kind)) return false
  if (Date.parse(at) + CLOCKS_DIFFER_BY_MS < Date.parse(createdAt)) return false
  const about = several ?? (app === undefined ? undefined : [app])
  return apps === null || about === undefined || about.some(one => isInScope(apps, one))
}
