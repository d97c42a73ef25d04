import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'vitest'
import { isFailure } from './errors.ts'
import { lockFolder, openDatabase, writeWhole } from './files.ts'
import { ProcessMutex } from './process-mutex.ts'

let folder: string
let umask: number
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-files-'))
  umask = process.umask(0o022)
})
afterEach(async () => {
  process.umask(umask)
  await rm(folder, { recursive: true })
})

const modeOf = async (name: string): Promise<string> => ((await stat(join(folder, name))).mode & 0o777).toString(8)

test('what is written and the folders made on the way are for us alone', async () => {
  await writeWhole(join(folder, 'one/two/file.json'), 'x')
  assert.deepEqual(
    [await modeOf('one'), await modeOf('one/two'), await modeOf('one/two/file.json')],
    ['700', '700', '600'],
  )
})

test('nobody else can open a lock file, one that was open to others before included', async () => {
  using _lock = await lockFolder(join(folder, 'data'))
  assert.deepEqual([await modeOf('data'), await modeOf('data/lock')], ['700', '600'])
  const turn = new ProcessMutex(join(folder, 'turn'), { withinMs: 100 })
  await turn.close()
  assert.equal(await modeOf('turn'), '600')
  await chmod(join(folder, 'turn'), 0o644)
  await new ProcessMutex(join(folder, 'turn'), { withinMs: 100 }).close()
  assert.equal(await modeOf('turn'), '600')
})

test('the journals of a database are for us alone too', async () => {
  const database = openDatabase(join(folder, 'memory'))
  database.exec('PRAGMA journal_mode = WAL; CREATE TABLE memory (key TEXT)')
  for (const name of ['memory', 'memory-wal', 'memory-shm']) assert.equal(await modeOf(name), '600', name)
  database.close()
})

test('a second opening of a lock file in this process does not drop the first one’s lock', async () => {
  using _lock = await lockFolder(folder)
  await assert.rejects(lockFolder(folder), error => isFailure(error, 'data-in-use'))
  await assert.rejects(lockFolder(folder), error => isFailure(error, 'data-in-use'))
})
