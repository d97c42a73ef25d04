import assert from 'node:assert/strict'
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { packImage, unpackImage } from './image-stream.ts'

const MIB = 1024 * 1024

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-image-'))
  await using file = await open(join(folder, 'image'), 'wx')
  await file.truncate(64 * MIB + 100)
  await file.write('begin', 0)
  await file.write('middle', 20 * MIB - 3)
  await file.write('end', 64 * MIB + 97)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const packed = async (): Promise<Buffer> => Buffer.concat(await Array.fromAsync(packImage(join(folder, 'image'))))
async function* inPieces(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}

test('an image is the same after its way, and its holes are not sent', async () => {
  const bytes = await packed()
  assert.ok(bytes.length < 2 * MIB, `${bytes.length} bytes were sent`)
  await unpackImage(inPieces(bytes, 10_007), join(folder, 'copy'))
  assert.ok((await readFile(join(folder, 'copy'))).equals(await readFile(join(folder, 'image'))))
  assert.ok((await stat(join(folder, 'copy'))).blocks * 512 < 2 * MIB)
})

test('an image that was changed on its way, or ended too early, is refused', async () => {
  const bytes = await packed()
  const changed = Buffer.from(bytes)
  changed[30] = (changed[30] ?? 0) ^ 1
  await assert.rejects(unpackImage(inPieces(changed, 65_536), join(folder, 'changed')), /checksum/)
  const short = bytes.subarray(0, bytes.length - 1)
  await assert.rejects(unpackImage(inPieces(short, 65_536), join(folder, 'short')), /ended before its last byte/)
})

test('a frame beyond the end of the image is refused', async () => {
  const bytes = Buffer.from(await packed())
  bytes.writeBigUInt64BE(2n ** 40n, 8)
  await assert.rejects(unpackImage(inPieces(bytes, 65_536), join(folder, 'copy')), /damaged/)
})

test('the stream is left open after the last byte: its sender waits for its end', async () => {
  let isOver = false
  const bytes = await packed()
  async function* stream(): AsyncGenerator<Buffer> {
    try {
      yield* inPieces(bytes, 65_536)
      await new Promise(() => undefined)
    } finally {
      isOver = true
    }
  }
  await unpackImage(stream(), join(folder, 'copy'))
  assert.equal(isOver, false)
})
