import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'vitest'
import { exec } from '../../lib/exec.ts'
import { KeyedMutex } from '../../lib/mutex.ts'
import { snapshotId, volumeId } from '../../model/names.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { imageSnapshots } from './image-snapshots.ts'

const volume = volumeId('blog')
const before = { volume, id: snapshotId('before') }

async function withVolume({ isMade = true } = {}) {
  const folder = temporaryFolder('shadow-test-replacements-')
  await mkdir(join(folder, 'blog'))
  const image = join(folder, 'blog/image.ext4')
  if (isMade) await writeFile(image, 'old')
  const snapshots = imageSnapshots({ root: async () => folder, turns: new KeyedMutex(), exec })
  return { folder, snapshots, image, read: () => readFile(image, 'utf8') }
}

/** The switch in a process of its own, which is killed before this step. */
function switched(folder: string, dies: number) {
  const program = join(import.meta.dirname, '../../testing/dying-switch.ts')
  const { signal, status, stdout } = spawnSync(process.execPath, [program, folder, String(dies)], { encoding: 'utf8' })
  return { isKilled: signal === 'SIGKILL', status, stdout }
}

test('a process that is killed at any step of a switch leaves the volume with its old bytes or the new ones, and the next run goes on', async () => {
  let dies = 0
  for (; ; dies++) {
    const { folder, snapshots, read } = await withVolume()
    const { isKilled, status } = switched(folder, dies)
    assert.ok(isKilled || status === 0)
    const now = await read()
    assert.ok(now === 'old' || now === 'new', now)
    // What the volume has now is no snapshot; what it had is one, whole.
    assert.deepEqual(await snapshots.of(volume), now === 'new' ? ['before'] : [])
    if (now === 'new') assert.equal(await readFile(await snapshots.file(before), 'utf8'), 'old')
    if (!isKilled) {
      assert.deepEqual([now, await readdir(join(folder, 'blog'))], ['new', ['image.ext4']])
      break
    }

    await snapshots.replacements.recover()
    assert.deepEqual(await readdir(join(folder, 'blog')), ['image.ext4'], 'what was half-made is gone')
    if (now === 'old') await snapshots.remove(before) // as the master does with a record that came to nothing
    assert.equal(await read(), now)
    await using again = await snapshots.replacements.blank(volume)
    await writeFile(again.file, 'third')
    await again.swap(snapshotId('before-third'))
    assert.equal(await read(), 'third')
    assert.equal(await readFile(await snapshots.file({ volume, id: snapshotId('before-third') }), 'utf8'), now)
  }
  assert.ok(dies >= 5, 'the switch has several steps')
})

test('a volume that was never made gets the bytes, and nothing is kept', async () => {
  const { snapshots, read } = await withVolume({ isMade: false })
  await using replacement = await snapshots.replacements.blank(volume)
  await writeFile(replacement.file, 'new')
  assert.equal(await replacement.swap(before.id), false)
  assert.deepEqual([await read(), await snapshots.of(volume)], ['new', []])
})

test('what is being brought now is not removed by another restore, and a name that is taken is not written over', async () => {
  const { snapshots, read, image } = await withVolume()
  await using one = await snapshots.replacements.blank(volume)
  await writeFile(one.file, 'one')
  await using other = await snapshots.replacements.blank(volume)
  await snapshots.replacements.recover()
  await writeFile(other.file, 'other')
  await one.swap(before.id)
  await assert.rejects(other.swap(before.id), { code: 'EEXIST' })
  assert.deepEqual([await read(), await readFile(await snapshots.file(before), 'utf8')], ['one', 'old'])
  await other.swap(snapshotId('before-other'))
  assert.equal(await readFile(image, 'utf8'), 'other')
})
