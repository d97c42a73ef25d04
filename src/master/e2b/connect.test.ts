import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { envelope, messages } from './connect.ts'

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
async function all(bytes: Buffer, size = bytes.length, most?: number): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const one of messages(inPieces(bytes, size), most)) found.push(one)
  return found
}

test('messages are the same, in whatever pieces they come, up to the end of the stream', async () => {
  const sent = [{ a: 1 }, {}, { text: 'ä'.repeat(300) }]
  const bytes = Buffer.concat([...sent.map(one => envelope(one)), envelope({}, 2), envelope({ late: true })])
  for (const size of [1, 2, 3, 7, 64, bytes.length]) assert.deepEqual(await all(bytes, size), sent)
  assert.deepEqual([...envelope({})], [0, 0, 0, 0, 2, 0x7b, 0x7d])
})

test('a message that is cut off, too large, packed or no JSON is refused by its code', async () => {
  const whole = envelope({ a: 1 })
  const refused = (code: string) => (error: unknown) =>
    error instanceof ShadowError && error.details.facts?.['rpc'] === code
  await assert.rejects(all(whole.subarray(0, -1)), refused('invalid_argument'))
  await assert.rejects(all(whole.subarray(0, 3)), refused('invalid_argument'))
  await assert.rejects(all(whole, whole.length, 4), refused('resource_exhausted'))
  await assert.rejects(all(envelope({ a: 1 }, 1)), refused('unimplemented'))
  await assert.rejects(all(Buffer.from([0, 0, 0, 0, 1, 0x7b])), refused('invalid_argument'))
})
