import { pause } from '../lib/abort.ts'
import type { Clock } from '../lib/clock.ts'
import { asShadowError, isFailure } from '../lib/errors.ts'
import type { Log } from '../lib/log.ts'
import { mapAtMost } from '../lib/parallel.ts'
import { CHANGES_LOOKED_FOR_EVERY } from '../model/intervals.ts'
import type { AppName } from '../model/names.ts'
import type { ChangeStream } from './change-stream.ts'
import type { Members } from './cluster/members.ts'
import type { Journal } from './journal.ts'
import type { Records } from './records.ts'
import type { Storage } from './storage/storage.ts'
import type { Tokens } from './tokens.ts'

/** One page of apps is checked in every tenth round, so that the cost does not grow with the number of apps. */
const ROUNDS_PER_PAGE = 10
const PAGE = 500
const AT_ONCE = 16
const MOST_REMEMBERED = 10_000

const APP = /^apps\/([^/]+)\.json$/
const TOKEN = /^tokens\/([^/]+)\.json$/
const MEMBER = /^members\/([^/]+)\.json$/

/** Whether writes of this document are announced in the journal: documents that readers cache. */
export const isAnnounced = (key: string): boolean => APP.test(key) || TOKEN.test(key) || MEMBER.test(key)

type Parts = {
  readonly journal: Journal
  readonly storage: Storage
  readonly records: Records
  readonly changes: ChangeStream
  readonly tokens: Pick<Tokens, 'known'>
  readonly members: Pick<Members, 'changed'> | undefined
  /** Told of each token, and of each document of another kind, that has changed. */
  readonly others: { changed(key: string): void; missed(): void }
  readonly clock: Clock
  readonly log: Log
}

/**
 * Sends the changes made through any master to this master's stream, until the signal aborts.
 * Once a second it reads the journal. Page by page it also compares the etags of all apps: that finds changes that nobody announced,
 * such as a store restored from a backup, or an older master.
 */
export async function watchChanges(parts: Parts, signal: AbortSignal): Promise<void> {
  const { journal, storage, changes, others, clock, log } = parts
  const pending = new Set<string>()
  const send = sender(parts)
  const nextPage = checkOfAll(storage)
  let isWell = true
  for (let round = 0; !signal.aborted; round++) {
    await pause(clock, CHANGES_LOOKED_FOR_EVERY, signal).catch(() => undefined) // an abort ends the loop at its head
    if (signal.aborted) return
    try {
      const { keys, missed } = await journal.look()
      for (const key of keys) pending.add(key)
      if (round % ROUNDS_PER_PAGE === 0) for (const key of await nextPage()) pending.add(key)
      // More documents changed than the journal holds: listeners connect again and check everything that they keep.
      if (missed) {
        changes.restart()
        others.missed()
      }
      await mapAtMost(AT_ONCE, [...pending], async key => {
        await send(key)
        pending.delete(key)
      })
      changes.checked()
      if (!isWell) log.info('changes of other masters are seen again')
      isWell = true
    } catch (cause) {
      // Logged once: the store may be away for a long time, and listeners see that nothing is checked.
      if (isWell) log.warn('changes of other masters are not seen', { code: asShadowError(cause).code, cause })
      isWell = false
    }
  }
}

/** Sends the current state of the document with this key, unless that version was sent already. */
function sender({ records, changes, tokens, members, others, log }: Parts): (key: string) => Promise<void> {
  const sent = new Map<string, string>()
  return async key => {
    const token = TOKEN.exec(key)?.[1]
    if (token !== undefined) {
      tokens.known.revoked(token)
      others.changed(key)
      return
    }
    const member = MEMBER.exec(key)?.[1]
    if (member !== undefined) return members?.changed(member)
    const name = APP.exec(key)?.[1] as AppName | undefined
    if (name === undefined) return others.changed(key)
    try {
      const record = await records.read(name)
      if (record.state === 'none' || sent.get(key) === record.etag) return
      if (record.state === 'live') changes.changed(record.app)
      else changes.removed({ name, domains: [] })
      if (sent.size >= MOST_REMEMBERED) sent.clear()
      sent.set(key, record.etag)
    } catch (cause) {
      // A broken document must not stop the others.
      if (isFailure(cause, 'storage-unreachable')) throw cause
      log.error('changed app cannot be read', { app: name, cause })
    }
  }
}

/** Returns the keys of one page of apps whose etags changed since that page was last read. */
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
    // Read all etags now: a change made before the first read of a page cannot be found by comparing.
    do await next()
    while (after !== undefined)
    isFirstRound = false
    return []
  }
}
