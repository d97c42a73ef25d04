import assert from 'node:assert/strict'
import { test } from 'vitest'
import { backends } from '../tools/smuggling/backends.ts'
import { faultsOf, unseen } from '../tools/smuggling/faults.ts'
import { attackOverH2 } from '../tools/smuggling/h2-attack.ts'
import { type H2Payload, h2Families } from '../tools/smuggling/h2-payloads.ts'
import { describePairs } from '../tools/smuggling/pairs.ts'

// An HTTP/2 request is rewritten as an HTTP/1.1 request. Bytes that would end the HTTP/1.1 request early must not get into it.
describePairs(
  backends,
  pair => {
    const attackFront = (payload: H2Payload) => attackOverH2(pair().front.tlsPort ?? 0, payload)

    for (const [family, payloads] of Object.entries(h2Families))
      test(`by HTTP/2, no request reaches the back end that the front did not see: ${family}`, async () => {
        const hiding = (mark: string) => payloads(mark).map(payload => ({ ...payload, hides: true }))
        assert.deepEqual(await faultsOf(pair(), hiding, attackFront), [])
      })

    // This test runs last, so that it sees requests that arrive late.
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
