// A thread for the tests of counts: it takes and gives back at random.
import { parentPort, workerData } from 'node:worker_threads'
import { Counts } from '../lib/shared/counts.ts'

type Given = {
  readonly memory: SharedArrayBuffer
  /** How many of each key all threads have, counted separately. */
  readonly tally: SharedArrayBuffer
  readonly thread: number
  readonly most: number
  readonly keys: number
  readonly rounds: number
  readonly keeps?: boolean
}

const { memory, tally, thread, most, keys, rounds, keeps } = workerData as Given
const counts = new Counts(memory, thread)
const beside = new Int32Array(tally)
const have: number[] = []
let taken = 0
let seen = 0

function giveBack(): void {
  const given = have.pop()
  if (given === undefined) return
  Atomics.sub(beside, given, 1)
  counts.give(`key ${given}`)
}

for (let round = 0; round < rounds; round++) {
  if (keeps || Math.random() < 0.5) {
    const which = Math.floor(Math.random() * keys)
    if (!counts.take(`key ${which}`, most)) continue
    taken += 1
    seen = Math.max(seen, Atomics.add(beside, which, 1) + 1)
    have.push(which)
  } else giveBack()
}
if (!keeps) while (have.length > 0) giveBack()
parentPort?.postMessage({ taken, most: seen })
