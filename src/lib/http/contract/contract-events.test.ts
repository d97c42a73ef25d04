import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { through } from '../../../testing/forwarding.ts'
import { useFallbacks } from '../node-internals/fallbacks.ts'

// The same suites with the fallbacks for unpublished parts of Node.
useFallbacks(['reads', 'tls-writes'])
through(fastForwarding())
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
