import { type FileHandle, open } from 'node:fs/promises'
import { type ByteReader, byteReader } from '../../lib/byte-reader.ts'
import { fromProblem, ShadowError } from '../../lib/errors.ts'
import type { Exec } from '../../lib/exec.ts'
import { BLOCK, BlockHashes, hashOf, NO_DATA } from './block-hashes.ts'
import { FORMAT, HEADER, KIND, readFrame } from './image-frames.ts'

/** So many bytes are written before they are synced: the sync after the last pass, for which an app waits, has little left to do. */
const SYNC_EVERY = 32 * 1024 * 1024
const LARGEST_PROBLEM = 65_536

type Options = {
  readonly exec: Exec
  /** Called when the app is about to be put to sleep for the last pass. */
  readonly onStopping?: () => void
}

/**
 * Writes the image of an `ImageSender` to a new file, syncs it, and resolves with how many bytes came. It reads no further than the end of the
 * image, and leaves the stream open. Fails if the stream ends too early, with the failure of the sender, or if the image is not the one that
 * was sent.
 */
export async function receiveImage(
  stream: AsyncIterable<Uint8Array>,
  path: string,
  { exec, onStopping }: Options,
): Promise<{ receivedBytes: number }> {
  const { take } = byteReader(stream, cutShort)
  if (!(await take(FORMAT.length)).equals(FORMAT))
    throw new ShadowError(
      'internal',
      'the image comes in another format: both nodes must have the same version of Shadow',
    )
  const hashes = new BlockHashes()
  await using file = await open(path, 'wx', 0o600)
  let receivedBytes = 0
  let unsynced = 0
  for (;;) {
    const { kind, first, second } = readFrame(await take(HEADER))
    if (kind === KIND.pass) {
      if (first < hashes.size) throw damaged()
      hashes.resize(first)
      await file.truncate(first)
    } else if (kind === KIND.data) {
      mustBeBlock(first, second, hashes.size)
      const bytes = await take(second)
      const [hash] = await Promise.all([hashOf(bytes), writeAll(file, bytes, first)])
      hashes.set(first / BLOCK, hash)
      receivedBytes += second
      unsynced += second
      if (unsynced >= SYNC_EVERY) {
        await file.datasync()
        unsynced = 0
      }
    } else if (kind === KIND.zeros) {
      if (first % BLOCK !== 0 || first + second > hashes.size) throw damaged()
      await clear(file, path, first, second, exec)
      for (let at = first; at < first + second; at += BLOCK) hashes.set(at / BLOCK, NO_DATA)
    } else if (kind === KIND.stopping) onStopping?.()
    else if (kind === KIND.failure) throw await failureOf(first, take)
    else if (kind === KIND.end) {
      if (!(await take(hashes.root().length)).equals(hashes.root())) throw damaged()
      await file.sync()
      return { receivedBytes }
    } else if (kind !== KIND.beat) throw damaged()
  }
}

function mustBeBlock(at: number, length: number, size: number): void {
  if (at % BLOCK !== 0 || at >= size || length !== Math.min(BLOCK, size - at)) throw damaged()
}

/** Frees the range, so that the copy has holes where the image has them; where the filesystem cannot, zeros are written. */
async function clear(file: FileHandle, path: string, at: number, length: number, exec: Exec): Promise<void> {
  const range = ['--offset', String(at), '--length', String(length)]
  try {
    await exec('fallocate', ['--punch-hole', ...range, path])
  } catch {
    const zeros = Buffer.alloc(BLOCK)
    for (let done = 0; done < length; done += BLOCK)
      await writeAll(file, zeros.subarray(0, Math.min(BLOCK, length - done)), at + done)
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten
}

async function failureOf(length: number, take: ByteReader['take']): Promise<Error> {
  if (length > LARGEST_PROBLEM) return damaged()
  return fromProblem(JSON.parse((await take(length)).toString())) ?? damaged()
}

const cutShort = (): ShadowError =>
  new ShadowError('node-unreachable', 'the image of the volume ended before its last byte')
const damaged = (): ShadowError =>
  new ShadowError('internal', 'the image of the volume was damaged on its way: its checksum is another one')
