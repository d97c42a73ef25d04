import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { through } from '../../../testing/forwarding.ts'

// The same suites where this Node does not let us read into reused memory.
through(fastForwarding({ reusesMemory: false }))
await import('./forward.test.ts')
await import('./bodies.test.ts')
await import('./again.test.ts')
await import('./smuggling.test.ts')
await import('./upgrade.test.ts')
await import('./origin.test.ts')
await import('./targets.test.ts')
await import('./half-closed.test.ts')
await import('./interim.test.ts')
await import('./framing.test.ts')
