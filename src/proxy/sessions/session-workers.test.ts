// The tests of session-visits.test.ts, with two workers in each front.
import { inTests } from '../../testing/workers.ts'

inTests.workers = '2'
await import('./session-visits.test.ts')
