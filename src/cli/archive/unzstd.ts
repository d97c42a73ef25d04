import { Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'
import { systemCode } from '../../lib/errors.ts'
import { altered, cutShort, noArchive } from './format.ts'

/** Decompresses an archive. Fails with `bad-input` for what is not zstd, or cannot be decompressed. */
export async function* unzstd(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  const zstd = createZstdDecompress()
  const input = Readable.from(bytes, { objectMode: false })
  input.on('error', error => zstd.destroy(error))
  try {
    yield* input.pipe(zstd) as AsyncIterable<Buffer>
  } catch (error) {
    const code = systemCode(error) ?? ''
    if (code === 'Z_BUF_ERROR') throw cutShort()
    if (code === 'ZSTD_error_prefix_unknown') throw noArchive()
    if (code.startsWith('ZSTD_error')) throw altered('it cannot be decompressed')
    throw error
  } finally {
    input.destroy()
  }
}
