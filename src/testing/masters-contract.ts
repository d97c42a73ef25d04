import { describe } from 'vitest'
import type { Storage } from '../master/storage/storage.ts'
import { describeChanges } from './masters-changes.ts'
import { describeDeaths } from './masters-deaths.ts'
import { MastersEnvironment } from './masters-environment.ts'
import { describeRaces } from './masters-races.ts'

/** What must hold for several masters on one storage. Each call of `open` gives another client of the same store. */
export function describeMasters(name: string, open: () => Promise<Storage>, skip: string | false = false): void {
  describe.skipIf(skip !== false)(
    `masters on ${name}${skip === false ? '' : ` (skipped: ${skip})`}`,
    { timeout: 120_000 },
    () => {
      const masters = new MastersEnvironment(open)
      describeRaces(masters)
      describeDeaths(masters)
      describeChanges(masters)
    },
  )
}
