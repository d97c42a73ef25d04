import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { formFiles } from './multipart.ts'

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}
async function filesOf(type: string, bytes: Buffer, size: number): Promise<[string, Buffer][]> {
  const found: [string, Buffer][] = []
  for await (const { name, bytes: of } of formFiles(type, inPieces(bytes, size))) {
    const parts: Buffer[] = []
    for await (const piece of of) parts.push(piece)
    found.push([name, Buffer.concat(parts)])
  }
  return found
}

test('the files of a form come with their names and bytes, in whatever pieces; fields are left out', async () => {
  const random = randomBytes(5_000)
  const form = new FormData()
  form.append('file', new Blob(['one\r\n--\r\n']), '/tmp/a "b"\nc')
  form.append('note', 'no file')
  form.append('file', new Blob([]), 'empty')
  form.append('file', new Blob([random]), 'random')
  const whole = new Response(form)
  const type = whole.headers.get('content-type') ?? ''
  const bytes = Buffer.from(await whole.arrayBuffer())
  for (const size of [1, 3, 64, 999, bytes.length])
    assert.deepEqual(await filesOf(type, bytes, size), [
      ['/tmp/a "b"\nc', Buffer.from('one\r\n--\r\n')],
      ['empty', Buffer.alloc(0)],
      ['random', random],
    ])
})

test('a form that is cut off, or has no boundary, is refused', async () => {
  const body = Buffer.from('--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nbytes\r\n--x--\r\n')
  const type = 'multipart/form-data; boundary=x'
  assert.deepEqual(await filesOf(type, body, 5), [['a', Buffer.from('bytes')]])
  for (let length = 0; length < body.length - 4; length++)
    await assert.rejects(
      filesOf(type, body.subarray(0, length), 7),
      error => isFailure(error, 'bad-input'),
      `${length}`,
    )
  await assert.rejects(filesOf('multipart/form-data', body, 7), error => isFailure(error, 'bad-input'))
})
