import assert from 'node:assert/strict'
import { test } from 'vitest'
import { hasProgram } from '../tools/programs.ts'
import { attack } from '../tools/smuggling/attack.ts'
import { backends } from '../tools/smuggling/backends.ts'
import { faultsOf, unseen } from '../tools/smuggling/faults.ts'
import { framing } from '../tools/smuggling/framing-payloads.ts'
import { heads } from '../tools/smuggling/head-payloads.ts'
import { describePairs } from '../tools/smuggling/pairs.ts'
import type { Payload } from '../tools/smuggling/payload.ts'

for (const [name, { needs }] of Object.entries(backends))
  if (needs !== undefined && !hasProgram(needs))
    process.stderr.write(`no smuggling to ${name}: ${needs} is not installed\n`)

describePairs(backends, pair => {
  const attackFront = async ({ pieces, waits, refused }: Payload): Promise<string | undefined> => {
    const heard = await attack(pair().front, pieces, { waits, answered: refused })
    return /^HTTP\/1\.1 [45]\d\d /.test(heard) ? undefined : heard
  }

  for (const [family, payloads] of Object.entries({ ...framing, ...heads }))
    test(`no request reaches the back end that the front did not see: ${family}`, async () => {
      assert.deepEqual(await faultsOf(pair(), payloads, attackFront), [])
    })

  // This test runs last, so that it sees requests that arrive late.
  test('in all, the back end saw only what the front saw', () => {
    const { backend, front } = pair()
    assert.deepEqual(unseen(backend.saw(), front.saw()), [])
    assert(backend.saw().length > 300, `it saw ${backend.saw().length} requests`)
  })
})
