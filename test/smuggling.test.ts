import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Backend, backends, installed } from './tools/smuggling/backends.ts'
import { framing } from './tools/smuggling/framing-payloads.ts'
import { type Front, fronts } from './tools/smuggling/fronts.ts'
import { heads } from './tools/smuggling/head-payloads.ts'
import { faultsOf, nextMark, unseen } from './tools/smuggling/judge.ts'
import type { Payload } from './tools/smuggling/payload.ts'
import { strike } from './tools/smuggling/strike.ts'

for (const [name, { needs }] of Object.entries(backends))
  if (needs !== undefined && !installed(needs))
    process.stderr.write(`no smuggling to ${name}: ${needs} is not installed\n`)

for (const [frontName, { open: openFront, skips = [] }] of Object.entries(fronts))
  for (const [backendName, { needs, open: openBackend }] of Object.entries(backends)) {
    if (skips.includes(backendName)) continue
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

      for (const [family, payloads] of Object.entries({ ...framing, ...heads }))
        test(`no request reaches the back end that the front did not see: ${family}`, async () => {
          const wrong: string[] = []
          for (const at of payloads('').keys()) {
            const mark = nextMark()
            const { name, pieces, waits, refused, hides } = payloads(mark)[at] as Payload
            const toFront = async (): Promise<string | undefined> => {
              const heard = await strike(front, pieces, { waits, answered: refused })
              return /^HTTP\/1\.1 [45]\d\d /.test(heard) ? undefined : heard
            }
            const faults = await faultsOf({ front, backend, mark, strike: toFront, refused, hides })
            wrong.push(...faults.map(fault => `${name}: ${fault}`))
          }
          assert.deepEqual(wrong, [])
        })

      // Last: what came late shows here.
      test('in all, the back end saw only what the front saw', () => {
        assert.deepEqual(unseen(backend.saw(), front.saw()), [])
        assert(backend.saw().length > 300, `it saw ${backend.saw().length} requests`)
      })
    })
  }
