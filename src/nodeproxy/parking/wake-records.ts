import { z } from 'zod'
import { readIfThere, writeWhole } from '../../lib/files.ts'
import type { Log } from '../../lib/log.ts'
import { type InstanceId, isInstanceId } from '../../model/instance-id.ts'

/** `count`: of its wakes, each worth half after `HALF_LIFE_MS`, as of `at`. `scheduled`: when a schedule woke it last, oldest first. */
const RecordSchema = z.object({ count: z.number(), at: z.number(), scheduled: z.array(z.number()) })
type Record = z.output<typeof RecordSchema>
const FileSchema = z.record(z.string(), RecordSchema)

const HALF_LIFE_MS = 12 * 3_600_000
const SOON_MS = 300_000
// Two gaps between runs of a schedule are one rhythm if they differ by no more.
const RHYTHM_WITHIN = 0.05
const RUNS = 3
const MOST_RECORDS = 10_000
/** Below this an instance is forgotten: one wake of three days ago. */
const LEAST = 2 ** -6
/** More than any count: a scheduled run comes soon. */
const SOON = 1e6

/**
 * How often and how lately each instance was woken, by which it is guessed which one is woken next. All times are wall time. Kept in a file, so that a node
 * that is started again knows its apps.
 */
export class WakeRecords {
  readonly #file: string
  readonly #log: Log
  readonly #records = new Map<InstanceId, Record>()
  #isChanged = false

  constructor({ file, log }: { file: string; log: Log }) {
    this.#file = file
    this.#log = log
  }

  async load(): Promise<void> {
    try {
      const found = FileSchema.parse(JSON.parse((await readIfThere(this.#file)) ?? '{}'))
      for (const [id, record] of Object.entries(found)) if (isInstanceId(id)) this.#records.set(id, record)
    } catch (cause) {
      this.#log.warn('records of wakes not read', { cause }) // they are made anew
    }
  }

  woken(instance: InstanceId, isScheduled: boolean, now: number): void {
    const { count, at, scheduled } = this.#records.get(instance) ?? { count: 0, at: now, scheduled: [] }
    const runs = isScheduled ? [...scheduled, now].slice(-RUNS) : scheduled
    this.#records.set(instance, { count: decayed(count, now - at) + 1, at: now, scheduled: runs })
    this.#isChanged = true
  }

  /** The more, the sooner it is likely to be woken; 0: nothing is known of it. */
  score(instance: InstanceId, now: number): number {
    const record = this.#records.get(instance)
    if (record === undefined) return 0
    const next = nextRun(record.scheduled)
    const isSoon = next !== undefined && next > now - SOON_MS && next < now + SOON_MS
    return decayed(record.count, now - record.at) + (isSoon ? SOON : 0)
  }

  /** Writes what has changed; forgets what was long ago. */
  async keep(now: number): Promise<void> {
    if (!this.#isChanged) return
    this.#isChanged = false
    for (const [id, { count, at }] of this.#records) if (decayed(count, now - at) < LEAST) this.#records.delete(id)
    const latest = [...this.#records].toSorted(([, a], [, b]) => b.at - a.at).slice(0, MOST_RECORDS)
    await writeWhole(this.#file, JSON.stringify(Object.fromEntries(latest))).catch(cause =>
      this.#log.warn('records of wakes not kept', { cause }),
    )
  }
}

// A clock that was set back adds nothing.
const decayed = (count: number, ms: number): number => count * 2 ** (-Math.max(0, ms) / HALF_LIFE_MS)

/** When a schedule comes again, if its last runs have a rhythm. A node is not told of schedules, only of their runs. */
function nextRun(runs: readonly number[]): number | undefined {
  const [first, second, last] = runs
  if (first === undefined || second === undefined || last === undefined) return undefined
  const gap = last - second
  return Math.abs(second - first - gap) <= gap * RHYTHM_WITHIN ? last + gap : undefined
}
