import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, test } from 'vitest'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'
import { busyboxImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

const run = async (file: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)(file, args)).stdout.trim()

let folder: string
let containers: string[]
let device: string

/** Makes foreign things on this machine: containers with and without labels like ours, a loop device, and its mount. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), `${TEST_FOLDER_PREFIX}foreign-`))
  const image = await busyboxImage()
  const begin = (...labels: string[]) =>
    run('docker', 'run', '-d', ...labels.flatMap(label => ['--label', label]), image, 'sleep', '100000')
  containers = await Promise.all([
    begin(),
    begin('shadow.node=somebody-else', 'shadow.app=blog', 'shadow.revision=1'),
    begin('shadow.app=blog'),
  ])
  containers.push(await run('docker', 'create', '--label', 'shadow.node=somebody-else', image, 'true'))
  await writeFile(`${folder}/image.ext4`, '')
  await truncate(`${folder}/image.ext4`, 16 * 2 ** 20)
  await run('mkfs.ext4', '-q', `${folder}/image.ext4`)
  device = await run('losetup', '--find', '--show', `${folder}/image.ext4`)
  await mkdir(`${folder}/mnt`)
  await run('mount', device, `${folder}/mnt`)
  await writeFile(`${folder}/mnt/theirs`, 'theirs')
})

afterEach(async () => {
  await run('docker', 'rm', '--force', ...containers)
  await run('umount', `${folder}/mnt`)
  await run('losetup', '--detach', device)
  await rm(folder, { recursive: true })
})

const foreign = async (): Promise<unknown> => ({
  containers: await run('docker', 'inspect', '--format', '{{.State.Status}} {{.State.Pid}}', ...containers),
  file: await readFile(`${folder}/mnt/theirs`, 'utf8'),
  device: await run('losetup', '--noheadings', '--output', 'BACK-FILE', device),
})

describe('promise 6, only what is ours is touched:', () => {
  test('wakes, sleeps, reconciliation, restarts and removals leave foreign containers, mounts and loop devices as they are', async () => {
    const before = await foreign()
    {
      await using shadow = await Shadow.start()
      await shadow.register('blog', { volume: { size: '16MiB' } })
      await shadow.ask('blog')
      await shadow.pass(60_000) // the node reconciles every half minute
      assert.deepEqual(await foreign(), before)
      await shadow.stop()
      await shadow.startAgain()
      await shadow.ask('blog')
      await shadow.sleep('blog')
      await shadow.stop()
      await shadow.startAgain()
      assert.deepEqual(await foreign(), before)
      await shadow.admin.call('removeApp', { params: { app: 'blog' }, query: { withVolume: 'true' } })
    }
    assert.deepEqual(await foreign(), before)
  })

  test('the volume of a sleeping app stays through reconciliation and restarts, and that of a removed one until it is removed too', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { volume: { size: '16MiB' } })
    await shadow.ask('blog', '/files/note', { method: 'PUT', body: 'kept' })
    await shadow.sleep('blog')
    await shadow.pass(60_000)
    await shadow.stop()
    await shadow.startAgain()
    await shadow.admin.call('removeApp', { params: { app: 'blog' } })
    await shadow.pass(60_000)
    await shadow.register('blog', { volume: { size: '16MiB' } })
    assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
  })
})
