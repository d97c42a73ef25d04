import type { App } from '../../model/app.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import type { KnownSession } from './session-index.ts'
import { stampOf } from './session-of.ts'

/** A pool as it is now. */
export type Pool = {
  /** undefined: it keeps no sessions started any more. */
  readonly template: App | undefined
  /** How many of its sessions are in use. */
  readonly used: number
  readonly sessions: ReadonlyMap<AppName, KnownSession>
  /** Those that are being started here. */
  readonly starting: readonly AppName[]
  /** Nodes that take no new sessions. */
  readonly cordoned: ReadonlySet<NodeName>
}

/** What has to be done for a pool to be as its template says. */
export type PoolWork = {
  readonly end: readonly AppName[]
  /** How many more have to be made. */
  readonly missing: number
  /** Those that a master has made, and nobody starts. */
  readonly unfinished: readonly AppName[]
}

/**
 * What to start, and what to end: sessions of an earlier release or of a cordoned node, and those that are too many, which are first those that are not ready. Sessions
 * in use leave the pool less room, since all of them together are at most the `most` of the template.
 */
export function workOf({ template, used, sessions, starting, cordoned }: Pool): PoolWork {
  const rules = template?.paused === undefined ? template?.template : undefined
  const of = template && stampOf(template)
  const wanted = rules === undefined ? 0 : Math.max(0, Math.min(rules.warm ?? 0, rules.most - used))
  const all = [...sessions]
  const fit = all.filter(([, { warm, node }]) => warm?.of === of && !(node !== undefined && cordoned.has(node)))
  const kept = fit.toSorted(([, a], [, b]) => Number(b.warm?.ready) - Number(a.warm?.ready)).slice(0, wanted)
  const keptNames = new Set(kept.map(([name]) => name))
  return {
    end: all.flatMap(([name]) => (keptNames.has(name) ? [] : name)),
    missing: Math.max(0, wanted - new Set([...keptNames, ...starting]).size),
    unfinished: kept.flatMap(([name, { warm }]) => (warm?.ready || starting.includes(name) ? [] : name)),
  }
}
