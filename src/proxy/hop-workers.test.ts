// The tests of hop.test.ts, with two workers in each front.
import { inTests } from '../testing/workers.ts'

inTests.workers = '2'
await import('./next-hop.test.ts')
