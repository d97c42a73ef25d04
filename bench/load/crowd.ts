// Visitors of all kinds at the same time: node crowd.ts '{"port": …, "tls": …, "hostname": …, "seconds": …}'. Prints how many visits of
// each kind there were, and what went wrong.
import type { Outcome, Site } from './raw-connection.ts'
import { visits } from './visits.ts'

const { seconds, ...site }: Site & { seconds: number } = JSON.parse(process.argv[2] ?? '{}')
const EACH = 3
const until = performance.now() + seconds * 1_000
const counts: Record<string, number> = {}
const faults: Record<string, number> = {}

await Promise.all(
  Object.entries(visits).flatMap(([kind, visit]) =>
    Array.from({ length: EACH }, async () => {
      while (performance.now() < until) {
        const outcome: Outcome = await visit(site)
        counts[kind] = (counts[kind] ?? 0) + 1
        if (outcome === 'as it should') continue
        const fault = `${kind}: ${outcome}`
        faults[fault] = (faults[fault] ?? 0) + 1
      }
    }),
  ),
)
process.stdout.write(JSON.stringify({ counts, faults }))
