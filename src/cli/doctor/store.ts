import { access } from 'node:fs/promises'
import type { StoragePlace } from '../../master/storage/place.ts'
import { skewFinding } from './clocks.ts'
import { type Check, ok } from './finding.ts'

/** Whether the store of the masters answers and honours conditional writes, and what its clock says. */
export function storeChecks(place: StoragePlace, now: () => number): readonly Check[] {
  return [
    {
      name: 'store',
      async run(signal) {
        const where = place.kind === 'directory' ? place.path : `${place.endpoint}/${place.bucket}`
        const about = { check: 'store', what: 'conditional writes of the store', where }
        // Nothing is made here: the folder belongs to the user that the master runs as.
        if (place.kind === 'directory' && !(await isThere(place.path)))
          return [ok({ ...about, value: 'not made yet: the first start of a master does' })]
        const { openStorage } = await import('../../master/storage/open.ts')
        const storage = await openStorage(place) // it fails with the reason where they are not honoured
        await storage.close()
        signal.throwIfAborted()
        return [ok({ ...about, value: 'honoured' })]
      },
    },
    ...(place.kind === 'directory' ? [] : [clockOfStore(place.endpoint, now)]),
  ]
}

const clockOfStore = (endpoint: string, now: () => number): Check => ({
  name: 'clock',
  async run(signal) {
    const answer = await fetch(endpoint, { method: 'HEAD', signal, redirect: 'manual' })
    return skewFinding(answer.headers.get('date'), now(), `the store at ${endpoint}`)
  },
})

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
