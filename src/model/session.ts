import { ShadowError } from '../lib/errors.ts'
import type { Hostname } from './hostname.ts'
import type { Labels } from './labels.ts'
import { type AppName, isAppName, type NodeName } from './names.ts'
import type { Duration } from './quantities.ts'
import type { VolumeSource } from './volume-source.ts'
import type { WakeProgress } from './wake-progress.ts'

/** What becomes of a session that nobody uses: it ends, or it sleeps and wakes at its next request, as an app does. */
export const WHEN_IDLE = ['end', 'sleep'] as const
export type WhenIdle = (typeof WHEN_IDLE)[number]

/** Makes an app a template: nothing wakes it, and sessions are made from it. It belongs to the app and not to its task definition. */
export type Template = {
  /** Left out: a session has no lifetime. */
  readonly lifetime?: Duration | undefined
  readonly whenIdle: WhenIdle
  /** Most sessions at a time. */
  readonly most: number
  /** Who may visit: whoever has a token of the session, or everybody who knows its hostname. */
  readonly visitors: (typeof VISITORS)[number]
  /** Which ports of a session have a hostname of their own; left out: none, and its hostname leads to the main one. */
  readonly ports?: SessionPorts | undefined
  /** Asked about each visit without a token of ours, and before a connect that passes its visitor on; left out: nobody is asked. */
  readonly authUrl?: string | undefined
  /** How many sessions are kept started ahead of time; left out: none. */
  readonly warm?: number | undefined
  /** Labels that a node must have to take its sessions; left out: any node may. */
  readonly pool?: Labels | undefined
  /** What the volume of a session that has none yet is a copy of; left out: it begins empty. */
  readonly volumeFrom?: VolumeSource | undefined
}
export const VISITORS = ['token', 'all'] as const
export const SESSION_PORTS = ['main', 'all'] as const
export type SessionPorts = (typeof SESSION_PORTS)[number]

export const TEMPLATE_DEFAULTS = {
  whenIdle: 'end',
  most: 1_000,
  visitors: 'token',
  ports: 'main',
  tokenLifetime: '24h',
} as const

/** What a session is asked for by. The same key with another tag is a conflict: it may be of another version of the program. */
export type SessionKey = { readonly name: string; readonly namespace: string; readonly tag?: string | undefined }

/** What opens a session to a visitor. The token itself is known to nobody but who got it. */
export type SessionToken = {
  /** SHA-256 of the token in base64url. */
  readonly hash: string
  /** Told to the app as `X-Verified-User`. */
  readonly user?: string | undefined
  /** JSON, told to the app as `X-Verified-Auth`. */
  readonly auth?: string | undefined
  /** ISO 8601; left out: as long as the session. */
  readonly until?: string | undefined
}

/** What makes a session a sandbox of the API that is compatible with E2B's: its time-out, which is its `until`, can be set anew. */
export type Sandbox = {
  readonly metadata: Readonly<Record<string, string>>
  /** What becomes of it when its time-out is over. */
  readonly atTimeout: (typeof AT_TIMEOUT)[number]
  /** Its access token follows from this and from the key of the masters; left out: the token was revoked, and there is no other one yet. */
  readonly seed?: string | undefined
}
export const AT_TIMEOUT = ['end', 'pause'] as const

/** Makes an app a session of a template. It belongs to the app and not to its task definition: a change restarts nothing. */
export type Session = {
  readonly template: AppName
  readonly key?: SessionKey | undefined
  /** When it ends, whoever uses it; ISO 8601. */
  readonly until?: string | undefined
  readonly whenIdle: WhenIdle
  /** How long nobody may use it before it ends or sleeps; left out: the idle time of its definition. */
  readonly idle?: Duration | undefined
  readonly visitors: Template['visitors']
  readonly ports?: SessionPorts | undefined
  /** As its template had it when it was made. */
  readonly authUrl?: string | undefined
  /** The node that it was placed on. Without a volume it runs there and nowhere else: two nodes would make two of it. */
  readonly node?: NodeName | undefined
  /** Labels that a node must have to take it. */
  readonly pool?: Labels | undefined
  readonly tokens: readonly SessionToken[]
  /** Set as long as it waits in the pool of its template: it is nobody's yet. */
  readonly warm?: WarmSession | undefined
  /** Set: it is a sandbox. */
  readonly sandbox?: Sandbox | undefined
  /** Set once it is being ended: it takes no more visitors. */
  readonly ending?: SessionEnd | undefined
}

/** A session that was started ahead of time. Once somebody has taken it, it never goes back: decision 074. */
export type WarmSession = {
  /** Stands for the release and the rules of its template that it was made by. */
  readonly of: string
  /** Its process has answered. */
  readonly ready: boolean
}
/** A node takes it for idle all the time, so that it makes room for others; only want of memory ends it. */
export const WARM_IDLE = '365d' as Duration

export const MOST_SESSION_TOKENS = 1_000

/** In the order in which a session passes them. `asleep`: of a session that sleeps when nobody uses it. */
export const SESSION_STATES = [
  'scheduled',
  'loading',
  'starting',
  'waiting',
  'ready',
  'asleep',
  'ending',
  'ended',
] as const
export type SessionState = (typeof SESSION_STATES)[number]

/** Why a session ended. `swept`: nobody used it. `lost`: its node was. */
export const SESSION_END_REASONS = ['swept', 'lifetime', 'asked', 'crashed', 'lost'] as const
export type SessionEndReason = (typeof SESSION_END_REASONS)[number]
/** `soft`: by SIGTERM, with the drain and the grace of its definition. `hard`: at once. */
export const SESSION_END_KINDS = ['soft', 'hard'] as const
export type SessionEndKind = (typeof SESSION_END_KINDS)[number]

export type SessionEnd = {
  readonly at: string
  readonly reason: SessionEndReason
  readonly kind: SessionEndKind
  readonly exitCode?: number | undefined
  /** In words, for people. */
  readonly detail?: string | undefined
}

const SLOT_LENGTH = 16
const NAME = /^(.+)--([a-z2-7]{16})$/
/** The name of a template is a part of the names of its sessions, which are DNS labels. */
export const LONGEST_TEMPLATE_NAME = 63 - SLOT_LENGTH - 2

/** The app of a session. `slot`: 16 characters of base32, by which its hostname begins. */
export const sessionName = (template: AppName, slot: string): AppName => `${template}--${slot}` as AppName

/** The only node on which the app may run: a session without a volume is where it was placed. undefined: others may run it too. */
export const homeOf = ({ session, task }: Placed): NodeName | undefined =>
  task.volume === undefined ? session?.node : undefined

/** Whether the app may run on another node alone: this one was lost, for example, and the session was made anew there. */
export const isElsewhere = (app: Placed, node: string): boolean => {
  const home = homeOf(app)
  return home !== undefined && home !== node
}

type Placed = {
  readonly session?: Pick<Session, 'node'> | undefined
  readonly task: { readonly volume?: unknown }
}

/** The template and the slot of a session's name; undefined for the name of any other app. */
export function sessionParts(app: string): { readonly template: AppName; readonly slot: string } | undefined {
  const [, template = '', slot = ''] = NAME.exec(app) ?? []
  return isAppName(template) ? { template, slot } : undefined
}

const PORT_HOST = /^([1-9]\d{0,4})-([a-z2-7]{16}\..+)$/

/** A port of a session, and the hostname of that session, where the hostname has the form `PORT-SLOT.HOSTNAME-OF-TEMPLATE`. */
export type PortHost = { readonly port: number; readonly session: Hostname }
export function portHost(host: Hostname): PortHost | undefined {
  const first = host.charCodeAt(0)
  if (first < 0x31 || first > 0x39) return undefined // fast path: every request passes here
  const [, digits, session] = PORT_HOST.exec(host) ?? []
  const port = Number(digits)
  return session === undefined || port > HIGHEST_PORT ? undefined : { port, session: session as Hostname }
}
const HIGHEST_PORT = 65_535

export const isTemplate = (app: AppName): ShadowError =>
  new ShadowError('is-template', `${app} is a template: sessions are made from it, and nothing wakes it itself`, {
    hint: `shadow session connect ${app}`,
  })

/** Whatever would wake or join a session that has begun to end fails with this. */
export const sessionEnds = (session: string): ShadowError =>
  new ShadowError('session-not-found', `the session ${session} has ended, or is ending`, {
    hint: `shadow session show ${session}`,
  })

/** Whether it takes no more visitors: it is being ended, or its lifetime is over. */
export const isOver = ({ ending, until }: Session, wall: number): boolean =>
  ending !== undefined || (until !== undefined && Date.parse(until) <= wall)

/** Whether the token still counts. */
export const tokenCounts = ({ until }: SessionToken, wall: number): boolean =>
  until === undefined || Date.parse(until) > wall

/** The state of a session whose instance is in this phase. `hasRun`: the instance has run before. */
export function stateIn({ phase, stage }: WakeProgress, whenIdle: WhenIdle, hasRun: boolean): SessionState {
  const atRest = whenIdle === 'sleep' ? 'asleep' : 'ending'
  switch (phase) {
    case 'awake':
    case 'frozen':
    case 'suspended':
      return 'ready'
    case 'waking':
      return STATE_OF[stage ?? 'preparing']
    case 'asleep':
      return hasRun ? atRest : 'scheduled'
    case 'stopping':
      return 'ending'
    case 'crashed':
    case 'stuck':
      return atRest
  }
}
const STATE_OF = { preparing: 'loading', starting: 'starting', answering: 'waiting' } as const

export const sessionNotFound = (session: string): ShadowError =>
  new ShadowError('session-not-found', `no session is called ${session}`, { hint: 'shadow session ls' })
