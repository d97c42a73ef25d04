import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Backend, backends, installed } from './tools/smuggling/backends.ts'
import { type Front, fronts } from './tools/smuggling/fronts.ts'
import { type H2Payload, h2Families } from './tools/smuggling/h2-payloads.ts'
import { strikeOverH2 } from './tools/smuggling/h2-strike.ts'
import { faultsOf, nextMark, unseen } from './tools/smuggling/judge.ts'

// A request of HTTP/2 is written down as one of HTTP/1.1: what that would end early must not get there.
for (const [frontName, { open: openFront, skips = [], byH2 }] of Object.entries(fronts))
  for (const [backendName, { needs, open: openBackend }] of Object.entries(backends)) {
    if (!byH2 || skips.includes(backendName)) continue
    const missing = needs !== undefined && !installed(needs) ? ` (skipped: ${needs} is not installed)` : ''
    describe.skipIf(missing !== '')(`${frontName} before ${backendName}${missing}`, () => {
      let folder: string
      let backend: Backend
      let front: Front

      beforeAll(async () => {
        folder = await mkdtemp(join(tmpdir(), 'shadow-test-smuggling-'))
        backend = await openBackend(folder)
        front = await openFront(backend.address)
      })
      afterAll(async () => {
        await front?.[Symbol.asyncDispose]()
        await backend?.[Symbol.asyncDispose]()
        await rm(folder, { recursive: true, force: true })
      })

      for (const [family, payloads] of Object.entries(h2Families))
        test(`by HTTP/2, no request reaches the back end that the front did not see: ${family}`, async () => {
          const wrong: string[] = []
          for (const at of payloads('').keys()) {
            const mark = nextMark()
            const payload = payloads(mark)[at] as H2Payload
            const strike = () => strikeOverH2(front.tlsPort ?? 0, payload)
            const faults = await faultsOf({ front, backend, mark, strike, refused: payload.refused, hides: true })
            wrong.push(...faults.map(fault => `${payload.name}: ${fault}`))
          }
          assert.deepEqual(wrong, [])
        })

      // Last: what came late shows here.
      test('in all, the back end saw only what the front saw', () => {
        assert.deepEqual(unseen(backend.saw(), front.saw()), [])
        for (const method of ['POST', 'PUT', 'DELETE', 'PROPFIND'])
          assert(
            backend.saw().some(line => line.startsWith(`${method} /s`)),
            `it saw no ${method}`,
          )
      })
    })
  }
