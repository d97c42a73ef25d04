import assert from 'node:assert/strict'
import { test } from 'vitest'
import { backends } from '../tools/smuggling/backends.ts'
import { faultsOf, unseen } from '../tools/smuggling/faults.ts'
import { attackOverH2 } from '../tools/smuggling/h2-attack.ts'
import { type H2Payload, h2Families } from '../tools/smuggling/h2-payloads.ts'
import { describePairs } from '../tools/smuggling/pairs.ts'

// A request of HTTP/2 is written down as one of HTTP/1.1: what that would end early must not get there.
describePairs(
  backends,
  pair => {
    const attackFront = (payload: H2Payload) => attackOverH2(pair().front.tlsPort ?? 0, payload)

    for (const [family, payloads] of Object.entries(h2Families))
      test(`by HTTP/2, no request reaches the back end that the front did not see: ${family}`, async () => {
        const hiding = (mark: string) => payloads(mark).map(payload => ({ ...payload, hides: true }))
        assert.deepEqual(await faultsOf(pair(), hiding, attackFront), [])
      })

    // Last: what came late shows here.
    test('in all, the back end saw only what the front saw', () => {
      const { backend, front } = pair()
      assert.deepEqual(unseen(backend.saw(), front.saw()), [])
      for (const method of ['POST', 'PUT', 'DELETE', 'PROPFIND'])
        assert(
          backend.saw().some(line => line.startsWith(`${method} /s`)),
          `it saw no ${method}`,
        )
    })
  },
  ({ byH2 }) => byH2 === true,
)
