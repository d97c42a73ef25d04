import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'vitest'
import { isFailure } from '../../src/lib/errors.ts'
import { directory } from '../../src/master/storage/directory.ts'

const run = promisify(execFile)

test('on a full disk the old document stays, no new one is half there, and room lets writes go on', async () => {
  const path = await mkdtemp(join(tmpdir(), 'shadow-test-full-'))
  await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path])
  try {
    const storage = await directory({ path: join(path, 'store') })
    const etag = await storage.create('doc.json', { n: 1 })
    const filler = join(path, 'filler')
    await assert.rejects(writeFile(filler, Buffer.alloc(2 ** 21)), { code: 'ENOSPC' })

    await assert.rejects(storage.update('doc.json', { n: 2, body: 'x'.repeat(100_000) }, etag), error =>
      isFailure(error, 'disk-full'),
    )
    await assert.rejects(storage.create('new/doc.json', { n: 1 }), error => isFailure(error, 'disk-full'))
    assert.deepEqual(await storage.get('doc.json'), { value: { n: 1 }, etag })
    assert.equal(await storage.get('new/doc.json'), undefined)
    assert.deepEqual(await readdir(join(path, 'store/.parts')), [])

    await rm(filler)
    await storage.update('doc.json', { n: 2 }, etag)
    await storage.create('new/doc.json', { n: 1 })
  } finally {
    await run('umount', ['--lazy', path])
    await rm(path, { recursive: true, force: true })
  }
})
