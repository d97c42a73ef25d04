// The tests of main.test.ts, on a node with two workers that share its port.
import { inTests } from '../testing/workers.ts'

inTests.workers = '2'
await import('./main.test.ts')
