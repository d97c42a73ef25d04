import { mkdirSync, renameSync } from 'node:fs'
import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { openDatabase } from '../../lib/files.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import { sumOfLatencies } from '../../model/request-counts.ts'
import { HOURS_OF_ACTIVITY, RESOLUTIONS, type SeriesRange } from '../../model/series.ts'
import type { AppEvent, EventCursor, EventKind } from '../../model/timeline.ts'
import type { Sample, SeriesStep, Use } from './samples.ts'

/** An event before it is kept, which gives it an id. */
export type NewEvent = Omit<AppEvent, 'id' | 'node'> & { readonly app: AppName }
export type EventsQuery = {
  readonly before?: EventCursor | undefined
  readonly limit: number
  readonly kinds?: readonly EventKind[] | undefined
}

type Options = {
  readonly folder: string
  readonly node: NodeName
  /** Told of a database that could not be read, and was put aside. */
  readonly onSpoilt?: (cause: unknown, movedTo: string) => void
}

const EVENTS_KEPT_MS = 30 * 86_400_000
/** Of one kind, so that wakes which fail again and again do not push out the other events of their app. */
const MOST_OF_KIND = 1_000
/** More than that is allowed between two prunings. */
const PRUNED_AFTER = 100
/** What is asked for at the end of a time that is kept may be read a little later. */
const KEPT_LONGER = 1.1

const SCHEMA = `
  PRAGMA auto_vacuum = INCREMENTAL;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, app TEXT NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, event TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS events_of_app ON events (app, at, id);
  CREATE INDEX IF NOT EXISTS events_of_kind ON events (app, kind, at, id);
  CREATE INDEX IF NOT EXISTS events_by_time ON events (at);
  CREATE TABLE IF NOT EXISTS samples (app TEXT NOT NULL, step INTEGER NOT NULL, at INTEGER NOT NULL, use TEXT NOT NULL,
    PRIMARY KEY (app, step, at)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS samples_by_time ON samples (step, at);
`

/** SQLITE_CORRUPT and SQLITE_NOTADB. */
const SPOILT = [11, 26]
const NOTHING: Use = { awakeMs: 0, requests: 0, errors: 0, latency: {}, cpuMs: 0, memoryBytes: 0 }
// As the id of an event is written: so that ids of one moment sort as they were made.
const ID_OF = `printf('%010d', id)`

/** The events and samples of the apps of a node in an SQLite file, bounded by time and, for each app, by number. All calls block. */
export class HistoryStore implements Disposable {
  readonly #db: DatabaseSync
  readonly #node: NodeName
  readonly #statements = new Map<string, StatementSync>()
  /** How many events of an app were added since they were last pruned. */
  readonly #added = new Map<AppName, number>()

  constructor({ folder, node, onSpoilt = () => undefined }: Options) {
    this.#node = node
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const file = `${folder}/history.db`
    try {
      this.#db = opened(file)
    } catch (cause) {
      // It is only history: a file that a broken disk has spoilt must not keep the node from writing a new one.
      if (!SPOILT.includes((cause as { errcode?: number }).errcode ?? 0)) throw cause
      const movedTo = `${file}.spoilt`
      for (const end of ['', '-wal', '-shm']) moved(`${file}${end}`, `${movedTo}${end}`)
      onSpoilt(cause, movedTo)
      this.#db = opened(file)
    }
  }

  /** Adds all of it, or nothing. */
  add(events: readonly NewEvent[], samples: readonly Sample[]): void {
    this.#inTransaction(() => {
      for (const { app, ...event } of events) {
        this.#run('INSERT INTO events (app, at, kind, event) VALUES (?, ?, ?, ?)', [
          app,
          Date.parse(event.at),
          event.kind,
          JSON.stringify(event),
        ])
        this.#added.set(app, (this.#added.get(app) ?? 0) + 1)
      }
      for (const sample of samples) for (const { stepSeconds } of RESOLUTIONS) this.#addSample(sample, stepSeconds)
      for (const [app, count] of this.#added) if (count >= PRUNED_AFTER) this.#pruneEventsOf(app)
    })
  }

  /** The newest first. */
  events(app: AppName, { before, limit, kinds }: EventsQuery): readonly AppEvent[] {
    const at = before === undefined ? null : Date.parse(before.at)
    const wanted = kinds === undefined ? '' : `AND kind IN (${kinds.map(() => '?').join(', ')})`
    const rows = this.#all(
      `SELECT ${ID_OF} AS id, event FROM events WHERE app = ? ${wanted}
       ${at === null ? '' : `AND at <= ? AND (at < ? OR ? || ${ID_OF} < ?)`} ORDER BY at DESC, id DESC LIMIT ?`,
      [
        app,
        ...(kinds ?? []),
        ...(at === null || before === undefined ? [] : [at, at, `${this.#node}.`, before.id]),
        limit,
      ],
    )
    return rows.map(({ id, event }) => ({
      ...(JSON.parse(String(event)) as Omit<AppEvent, 'id' | 'node'>),
      id: `${this.#node}.${id}`,
      node: this.#node,
    }))
  }

  /** The steps in which something was measured, the oldest first. */
  series(app: AppName, { from, to, stepSeconds }: SeriesRange): readonly SeriesStep[] {
    const kept = RESOLUTIONS.findLast(one => stepSeconds % one.stepSeconds === 0) ?? RESOLUTIONS[0]
    const rows = this.#all(
      'SELECT at, use FROM samples WHERE app = ? AND step = ? AND at >= ? AND at < ? ORDER BY at',
      [app, kept.stepSeconds, from, to],
    )
    const steps = new Map<number, Use>()
    for (const { at, use } of rows) {
      const step = from + Math.floor((Number(at) - from) / stepSeconds) * stepSeconds
      steps.set(step, sumOf(steps.get(step) ?? NOTHING, JSON.parse(String(use)) as Use))
    }
    return [...steps].map(([at, use]) => ({ at, ...use }))
  }

  /** For how many milliseconds of each hour of a week the app was awake; `from`: the start of the first one. */
  activity(app: AppName, from: number): readonly number[] {
    const hours = Array.from({ length: HOURS_OF_ACTIVITY }, () => 0)
    for (const { at, awakeMs } of this.series(app, { from, to: from + HOURS_OF_ACTIVITY * 3_600, stepSeconds: 3_600 }))
      hours[(at - from) / 3_600] = awakeMs
    return hours
  }

  /** Removes what is too old at the time `nowMs`. */
  prune(nowMs: number): void {
    this.#inTransaction(() => {
      this.#run('DELETE FROM events WHERE at < ?', [nowMs - EVENTS_KEPT_MS])
      for (const { stepSeconds, keptSeconds } of RESOLUTIONS)
        this.#run('DELETE FROM samples WHERE step = ? AND at < ?', [
          stepSeconds,
          Math.floor(nowMs / 1_000 - keptSeconds * KEPT_LONGER),
        ])
      for (const app of [...this.#added.keys()]) this.#pruneEventsOf(app)
    })
    this.#db.exec('PRAGMA incremental_vacuum')
  }

  /** Removes all that is kept of the app. */
  forget(app: AppName): void {
    this.#inTransaction(() => {
      this.#run('DELETE FROM events WHERE app = ?', [app])
      this.#run('DELETE FROM samples WHERE app = ?', [app])
    })
    this.#added.delete(app)
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }

  #addSample({ app, at, ...use }: Sample, stepSeconds: number): void {
    const step = Math.floor(at / stepSeconds) * stepSeconds
    const key = [app, stepSeconds, step]
    const before = this.#all('SELECT use FROM samples WHERE app = ? AND step = ? AND at = ?', key)[0]
    const sum = before === undefined ? use : sumOf(JSON.parse(String(before['use'])) as Use, use)
    this.#run('INSERT OR REPLACE INTO samples (app, step, at, use) VALUES (?, ?, ?, ?)', [...key, JSON.stringify(sum)])
  }

  #pruneEventsOf(app: AppName): void {
    this.#added.delete(app)
    for (const { kind } of this.#all('SELECT DISTINCT kind FROM events WHERE app = ?', [app]))
      this.#run(
        `DELETE FROM events WHERE app = ? AND kind = ? AND id NOT IN
           (SELECT id FROM events WHERE app = ? AND kind = ? ORDER BY at DESC, id DESC LIMIT ${MOST_OF_KIND})`,
        [app, String(kind), app, String(kind)],
      )
  }

  #inTransaction(work: () => void): void {
    this.#db.exec('BEGIN')
    try {
      work()
      this.#db.exec('COMMIT')
    } catch (error) {
      this.#db.exec('ROLLBACK')
      throw error
    }
  }

  #run(sql: string, values: readonly (string | number)[]): void {
    this.#statement(sql).run(...values)
  }

  #all(sql: string, values: readonly (string | number)[]) {
    return this.#statement(sql).all(...values)
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const made = this.#db.prepare(sql)
    this.#statements.set(sql, made)
    return made
  }
}

function opened(file: string): DatabaseSync {
  const db = openDatabase(file)
  try {
    db.exec(SCHEMA)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

function moved(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch {} // SQLite had not made this file
}

const sumOf = (one: Use, other: Use): Use => ({
  awakeMs: one.awakeMs + other.awakeMs,
  requests: one.requests + other.requests,
  errors: one.errors + other.errors,
  latency: sumOfLatencies([one.latency, other.latency]),
  cpuMs: one.cpuMs + other.cpuMs,
  memoryBytes: Math.max(one.memoryBytes, other.memoryBytes),
})
