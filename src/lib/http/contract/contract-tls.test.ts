import { through } from '../../../testing/forwarding.ts'
import { tlsForwarding } from '../../../testing/mutual-tls.ts'

// The same suites for an upstream by mutual TLS. Between it and the app there is a program that passes bytes on, so the suites about
// connections that are refused, reset or half closed are left out: see ../upstream/connection-tls.test.ts.
through(tlsForwarding)
await import('./again.test.ts')
await import('./framing.test.ts')
await import('./interim.test.ts')
await import('./origin.test.ts')
await import('./smuggling.test.ts')
await import('./targets.test.ts')
await import('./upgrade.test.ts')
