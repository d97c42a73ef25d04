import { isFailure } from '../../lib/errors.ts'
import type { Metrics } from '../../lib/metrics/metrics.ts'
import { OPERATIONS, type Operation, storageAround } from './around.ts'
import type { Storage } from './storage.ts'

/** `conflict`: the condition of the write did not hold, which is how masters find out that another one was first. */
const OUTCOMES = ['done', 'conflict', 'failed'] as const

/** Adds the metrics of the store, and returns a function that counts and times the requests to a storage. */
export function storageMetrics(metrics: Metrics): (storage: Storage) => Storage {
  const requests = metrics.events({
    name: 'store_requests_total',
    help: 'Requests to the store for documents, by how they ended; conflict: the condition of the write did not hold',
    labels: { operation: OPERATIONS, outcome: OUTCOMES },
  })
  const took = metrics.durations({
    name: 'store_request_duration_seconds',
    help: 'How long requests to the store for documents took',
    labels: { operation: OPERATIONS },
  })
  const measured = async <T>(request: () => Promise<T>, operation: Operation): Promise<T> => {
    const from = performance.now()
    let outcome: (typeof OUTCOMES)[number] = 'failed'
    try {
      const value = await request()
      outcome = 'done'
      return value
    } catch (error) {
      if (isFailure(error, 'changed', 'already-exists')) outcome = 'conflict'
      throw error
    } finally {
      requests({ operation, outcome })
      took(performance.now() - from, { operation })
    }
  }
  return storage => storageAround(storage, measured)
}
