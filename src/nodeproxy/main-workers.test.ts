// The node as main.test.ts has it, with two workers that share its port.
import { inTests } from '../testing/workers.ts'

inTests.workers = '2'
await import('./main.test.ts')
