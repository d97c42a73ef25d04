import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { type Backend, backends, installed } from './tools/smuggling/backends.ts'
import { type Front, fronts } from './tools/smuggling/fronts.ts'
import { families, type Payload } from './tools/smuggling/payloads.ts'
import { ask, strike } from './tools/smuggling/strike.ts'

let marks = 0

for (const [name, { needs }] of Object.entries(backends))
  if (needs !== undefined && !installed(needs))
    process.stderr.write(`no smuggling to ${name}: ${needs} is not installed\n`)

for (const [frontName, openFront] of Object.entries(fronts))
  for (const [backendName, { needs, open: openBackend }] of Object.entries(backends)) {
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

      for (const [family, payloads] of Object.entries(families))
        test(`no request reaches the back end that the front did not see: ${family}`, async () => {
          const wrong: string[] = []
          for (const at of payloads('').keys()) {
            const mark = `/s${++marks}`
            const payload = payloads(mark)[at] as Payload
            const faults = await faultsOf(payload, mark, front, backend)
            wrong.push(...faults.map(fault => `${payload.name}: ${fault}`))
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

async function faultsOf(
  { pieces, waits, refused, hides }: Payload,
  mark: string,
  front: Front,
  backend: Backend,
): Promise<string[]> {
  const faults: string[] = []
  const before = { backend: backend.saw().length, front: front.saw().length }
  const heard = await strike(front.port, pieces, waits)
  if (refused && !/^HTTP\/1\.1 [45]\d\d /.test(heard))
    faults.push(`not refused: the client heard ${JSON.stringify(heard)}`)
  // Whatever is left on a connection to the back end meets those who come next.
  for (const victim of await ask(front.port, [`${mark}/victim-1`, `${mark}/victim-2`, `${mark}/victim-3`]))
    if (victim !== undefined) faults.push(victim)
  const late = (line: string): boolean => Number(/\/s(\d+)/.exec(line)?.[1] ?? marks) < markNumber(mark)
  const saw = (await seenUntil(backend, before.backend, `GET ${mark}/victim-3`)).filter(line => !late(line))
  const knew = front.saw().slice(before.front)
  faults.push(...unseen(saw, knew).map(line => `the back end saw ${line}, and the front only ${JSON.stringify(knew)}`))
  if (refused) {
    const through = saw.filter(line => !line.includes(`${mark}/victim`))
    if (through.length > 0) faults.push(`forwarded: ${JSON.stringify(through)}`)
  }
  if (hides && saw.some(line => line.includes('/evil')))
    faults.push(`a body was read as a request: ${JSON.stringify(saw)}`)
  return faults
}

/** A strike may reach the back end after its own time; what is of an earlier one is judged by the last test, which looks at all. */
const markNumber = (mark: string): number => Number(mark.slice(2))

/** What the back end saw that the front did not, each as often as it was seen more. */
function unseen(backend: readonly string[], front: readonly string[]): string[] {
  const left = [...front]
  return backend.filter(line => {
    const at = left.indexOf(line)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/** A back end's log is written after its answer: so the last request's line is waited for. */
async function seenUntil(backend: Backend, from: number, last: string): Promise<readonly string[]> {
  const until = Date.now() + 5_000
  for (;;) {
    const saw = backend.saw().slice(from)
    if (saw.includes(last) || Date.now() > until) return saw
    await new Promise(resolve => setTimeout(resolve, 2))
  }
}
