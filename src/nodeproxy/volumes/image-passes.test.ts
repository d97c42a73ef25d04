import assert from 'node:assert/strict'
import { mkdtemp, open, readFile, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { exec } from '../../lib/exec.ts'
import { BLOCK } from './block-hashes.ts'
import { FORMAT, frame, KIND, readFrame } from './image-frames.ts'
import { receiveImage } from './image-receiver.ts'
import { ImageSender } from './image-sender.ts'

const MIB = 1024 * 1024

let folder: string
let image: string
let frames: Buffer[]
let read: number
let sender: ImageSender
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-test-image-'))
  image = join(folder, 'image')
  await put(0, 'begin')
  await truncate(image, 64 * MIB + 100)
  await put(20 * MIB - 3, 'middle')
  await put(64 * MIB + 97, 'end')
  frames = [FORMAT]
  read = 0
  sender = new ImageSender({
    exec,
    put: async bytes => void frames.push(bytes),
    onProgress: bytes => {
      read += bytes
    },
  })
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function put(at: number, text: string | Buffer): Promise<void> {
  await using file = await open(image, 'a').then(async made => {
    await made.close()
    return open(image, 'r+')
  })
  await file.write(Buffer.from(text), 0, undefined, at)
}
async function punch(at: number, length: number): Promise<void> {
  await exec('fallocate', ['--punch-hole', '--offset', String(at), '--length', String(length), image])
}
async function* inPieces(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length)
}
const whole = (): Buffer => Buffer.concat(frames)
const received = async (bytes = whole(), name = 'copy') => {
  const copy = join(folder, name)
  const { receivedBytes } = await receiveImage(inPieces(bytes, 10_007), copy, { exec })
  return { receivedBytes, bytes: await readFile(copy), onDisk: (await stat(copy)).blocks * 512 }
}
const sameAsImage = async (copy: Buffer): Promise<void> => assert.ok(copy.equals(await readFile(image)))
const rest = async (): Promise<number> => {
  const sent = await sender.pass(image, { isAtRest: true })
  await sender.end()
  return sent
}

test('an image is the same after its way; its holes are neither read nor sent', async () => {
  await rest()
  assert.ok(read <= 5 * BLOCK, `${read} bytes were read`)
  assert.ok(whole().length < 2 * MIB, `${whole().length} bytes were sent`)
  const { bytes, onDisk } = await received()
  await sameAsImage(bytes)
  assert.ok(onDisk < 2 * MIB)
})

test('a later pass sends only the blocks that have changed, and holes that are new are holes in the copy', async () => {
  await put(30 * MIB, Buffer.alloc(8 * MIB, 'data'))
  const first = await sender.pass(image, { isAtRest: false })
  assert.ok(first >= 8 * MIB)
  await put(31 * MIB, 'changed')
  await punch(34 * MIB, 4 * MIB)
  await put(50 * MIB, 'new')
  await put(20 * MIB - 3, Buffer.alloc(6)) // no data any more, though it has its place on the disk
  assert.equal(await rest(), 2 * BLOCK)
  const { receivedBytes, bytes, onDisk } = await received()
  assert.equal(receivedBytes, first + 2 * BLOCK)
  await sameAsImage(bytes)
  assert.ok(onDisk < 6 * MIB, `the copy has ${onDisk} bytes on disk`)
})

test('an image that has not changed is not sent again', async () => {
  await sender.pass(image, { isAtRest: false })
  assert.equal(await rest(), 0)
  await sameAsImage((await received()).bytes)
})

test('an image that grows between two passes is whole', async () => {
  await sender.pass(image, { isAtRest: false })
  await truncate(image, 80 * MIB)
  await put(64 * MIB + 90, 'beyond its old end')
  await rest()
  await sameAsImage((await received()).bytes)
})

test('zeros are written where the filesystem of the copy cannot make holes', async () => {
  await put(30 * MIB, Buffer.alloc(MIB, 'data'))
  await sender.pass(image, { isAtRest: false })
  await punch(30 * MIB, MIB)
  await rest()
  const copy = join(folder, 'copy')
  await receiveImage(inPieces(whole(), 65_536), copy, { exec: () => Promise.reject(new Error('not supported')) })
  await sameAsImage(await readFile(copy))
})

test('an image that was changed on its way, ended too early, or came in another format, is refused', async () => {
  await rest()
  const changed = whole()
  changed[100] = (changed[100] ?? 0) ^ 1
  await assert.rejects(received(changed, 'changed'), /checksum/)
  const short = whole().subarray(0, -1)
  await assert.rejects(received(short, 'short'), /ended before its last byte/)
  await assert.rejects(received(Buffer.alloc(100), 'other'), /another format/)
})

test('a block that the sender takes for sent and the receiver has not is found in the end', async () => {
  await rest()
  const at = frames.findIndex(bytes => bytes.length > BLOCK)
  frames.splice(at, 1)
  await assert.rejects(received(), /checksum/)
})

test('frames that are not of this image are refused', async () => {
  const begin = [FORMAT, frame(KIND.pass, BLOCK + 100, 1)]
  for (const wrong of [
    frame(KIND.data, 2 ** 40, BLOCK, Buffer.alloc(BLOCK)),
    frame(KIND.data, 1, BLOCK, Buffer.alloc(BLOCK)),
    frame(KIND.data, BLOCK, BLOCK, Buffer.alloc(BLOCK)),
    frame(KIND.zeros, 0, 2 * BLOCK),
    frame(KIND.zeros, 1, 1),
    frame(KIND.pass, 100, 2),
    frame(77),
  ]) {
    const name = `copy-${readFrame(wrong).kind}-${Math.random()}`
    await assert.rejects(received(Buffer.concat([...begin, wrong]), name), /damaged/)
  }
})

test('a failure of the sender is the failure of the receiver', async () => {
  const problem = Buffer.from(JSON.stringify(new ShadowError('app-stuck', 'it does not end').toProblem()))
  frames.push(frame(KIND.failure, problem.length, 0, problem))
  await assert.rejects(received(), error => error instanceof ShadowError && error.code === 'app-stuck')
})

test('the stream is left open after the last byte: its sender waits for its end', async () => {
  await rest()
  let isOver = false
  async function* stream(): AsyncGenerator<Buffer> {
    try {
      yield* inPieces(whole(), 65_536)
      await new Promise(() => undefined)
    } finally {
      isOver = true
    }
  }
  await receiveImage(stream(), join(folder, 'copy'), { exec })
  assert.equal(isOver, false)
})
