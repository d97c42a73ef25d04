import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError, isFailure } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { mapAtMost } from '../lib/parallel.ts'
import { CHANGES_LOOKED_FOR_EVERY } from '../model/intervals.ts'
import type { AppName } from '../model/names.ts'
import type { Changes } from './changes.ts'
import type { Journal } from './journal.ts'
import type { Records } from './records.ts'
import type { Storage } from './storage/storage.ts'
import type { Tokens } from './tokens.ts'

/** One page of apps is checked at every so many looks, so that a check of all costs the same however many there are. */
const LOOKS_PER_PAGE = 10
const PAGE = 500
const AT_ONCE = 16
const MOST_REMEMBERED = 10_000

const APP = /^apps\/([^/]+)\.json$/
const TOKEN = /^tokens\/([^/]+)\.json$/

/** Which documents are announced in the journal: those that somebody keeps who has read them. */
export const isAnnounced = (key: string): boolean => APP.test(key) || TOKEN.test(key)

type Parts = {
  readonly journal: Journal
  readonly storage: Storage
  readonly records: Records
  readonly changes: Changes
  readonly tokens: Pick<Tokens, 'revoked'>
  readonly clock: Clock
  readonly log: Log
}

/**
 * Feeds this master's stream with the changes made through any master, until the signal aborts: once a second from the journal, and
 * page after page from the etags of all apps, which finds what nobody announced (a store put back from a backup, an older master).
 */
export async function watchChanges(parts: Parts, signal: AbortSignal): Promise<void> {
  const { journal, storage, changes, clock, log } = parts
  const pending = new Set<string>()
  const tell = teller(parts)
  const nextPage = checkOfAll(storage)
  let isWell = true
  for (let looks = 0; !signal.aborted; looks++) {
    await pause(clock, CHANGES_LOOKED_FOR_EVERY, signal).catch(() => undefined) // the next line ends it
    if (signal.aborted) return
    try {
      const { keys, missed } = await journal.look()
      for (const key of keys) pending.add(key)
      if (looks % LOOKS_PER_PAGE === 0) for (const key of await nextPage()) pending.add(key)
      // More changed than can be named: whoever listens comes anew, and asks about all that it keeps.
      if (missed) changes.restart()
      await mapAtMost(AT_ONCE, [...pending], async key => {
        await tell(key)
        pending.delete(key)
      })
      changes.checked()
      if (!isWell) log.info('changes of other masters are seen again')
      isWell = true
    } catch (cause) {
      // Told once: the store may be away for long, and whoever listens sees that nothing is checked.
      if (isWell) log.warn('changes of other masters are not seen', { code: asShadowError(cause).code, cause })
      isWell = false
    }
  }
}

/** Tells of the document of this key as it is now, unless that was told already. */
function teller({ records, changes, tokens, log }: Parts): (key: string) => Promise<void> {
  const told = new Map<string, string>()
  return async key => {
    const token = TOKEN.exec(key)?.[1]
    if (token !== undefined) return tokens.revoked(token)
    const name = APP.exec(key)?.[1] as AppName | undefined
    if (name === undefined) return
    try {
      const record = await records.read(name)
      if (record.state === 'none' || told.get(key) === record.etag) return
      if (record.state === 'live') changes.changed(record.app)
      else changes.removed({ name, domains: [] })
      if (told.size >= MOST_REMEMBERED) told.clear()
      told.set(key, record.etag)
    } catch (cause) {
      // A document that is broken must not keep the others from being told of.
      if (isFailure(cause, 'storage-unreachable')) throw cause
      log.error('changed app cannot be read', { app: name, cause })
    }
  }
}

/** Gives the keys of a page of apps that differ from the last time that page was looked at. */
function checkOfAll(storage: Storage): () => Promise<string[]> {
  const known = new Map<string, string>()
  let after: string | undefined
  let isFirstRound = true
  const next = async (): Promise<string[]> => {
    const page = await storage.versions('apps/', { after, limit: PAGE })
    const differ = isFirstRound ? [] : [...page].flatMap(([key, etag]) => (known.get(key) === etag ? [] : key))
    for (const [key, etag] of page) known.set(key, etag)
    after = page.size === PAGE ? [...page.keys()].at(-1) : undefined
    return differ
  }
  return async () => {
    if (!isFirstRound) return next()
    // What to compare with is read at once: what changes before that is not found by comparing.
    do await next()
    while (after !== undefined)
    isFirstRound = false
    return []
  }
}
