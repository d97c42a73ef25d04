import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { afterEach, beforeEach, test } from 'vitest'
import { appName, nodeName, volumeId } from '../../model/names.ts'
import { size } from '../../model/quantities.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { aTask } from '../../testing/fake-app.ts'
import type { Engine } from './docker-engine.ts'
import { DockerFolders } from './docker-folders.ts'

const signal = AbortSignal.timeout(60_000)
let at: string

beforeEach(async () => {
  at = await mkdtemp(join(tmpdir(), 'folders-'))
})
afterEach(() => rm(at, { recursive: true }))

/** An engine whose images have the files, and no folder of a volume; it notes which containers are made. */
function engineWith(files: Readonly<Record<string, string | Buffer>>, user = '') {
  const made: string[] = []
  const container = { inspect: async () => ({ Config: { User: user } }), remove: async () => undefined }
  const missing = { inspect: () => Promise.reject(Object.assign(new Error('no such container'), { statusCode: 404 })) }
  const docker = {
    getContainer: (name: string) => (name.startsWith('c') ? container : missing),
    createContainer: async ({ Image }: { Image: string }) => ({ id: `c${made.push(Image)}` }),
  } as unknown as Docker
  const engine: Engine = {
    ask: call => call(docker),
    async *stream({ options }) {
      const text = files[(options as { path: string }).path]
      if (text === undefined) throw Object.assign(new Error('no such file'), { statusCode: 404 })
      yield typeof text === 'string' ? Buffer.concat([Buffer.alloc(512), Buffer.from(text)]) : text
    },
  }
  return { folders: new DockerFolders({ engine, node: nodeName('n1') }), made }
}

const taskOf = (app: string, image: string, path = '/data'): TaskDefinition =>
  aTask({
    app: appName(app),
    image,
    pinned: { id: image, digest: null } as unknown as TaskDefinition['pinned'],
    volume: { id: volumeId(app), size: size('16MiB'), path },
  })

test('an image that has no folder at the path of the volume is looked into once, for each path', async () => {
  const { folders, made } = engineWith({})
  for (const app of ['one', 'two', 'three']) await folders.copy(taskOf(app, 'sha256:a'), at, signal)
  assert.deepEqual(made, ['sha256:a'])
  await folders.copy(taskOf('four', 'sha256:b'), at, signal)
  await folders.copy(taskOf('five', 'sha256:a', '/var/lib'), at, signal)
  await folders.copy(taskOf('six', 'sha256:b'), at, signal)
  assert.deepEqual(made, ['sha256:a', 'sha256:b', 'sha256:a'])
})

test('each new volume of such an image is given to the user of the image', async () => {
  const { folders, made } = engineWith({ '/etc/passwd': 'web:x:1234:4321::/:/bin/sh\n' }, 'web')
  const other = await mkdtemp(join(tmpdir(), 'folders-'))
  try {
    await folders.copy(taskOf('one', 'sha256:a'), at, signal)
    await folders.copy(taskOf('two', 'sha256:a'), other, signal)
    for (const path of [at, other]) {
      const { uid, gid } = await stat(path)
      assert.deepEqual([uid, gid], [1234, 4321])
    }
    assert.equal(made.length, 1)
  } finally {
    await rm(other, { recursive: true })
  }
})

test('each new volume gets owner and mode of the empty folder that the image has there, which is looked into once', async () => {
  const head = Buffer.alloc(512)
  head.write('./')
  head.write('0042770\0' + '0002322\0' + '0010341\0', 100)
  head.write('5', 156)
  const { folders, made } = engineWith({ '/data/.': Buffer.concat([head, Buffer.alloc(1_024)]) })
  for (const app of ['one', 'two']) {
    await chmod(at, 0o700)
    await folders.copy(taskOf(app, 'sha256:a'), at, signal)
    const { uid, gid, mode } = await stat(at)
    assert.deepEqual([mode & 0o7777, uid, gid], [0o2770, 1234, 4321])
  }
  assert.equal(made.length, 1)
})

test('an image that is known by its name alone is looked into each time: the name may stand for another one now', async () => {
  const { folders, made } = engineWith({})
  for (const app of ['one', 'two']) {
    const { pinned: _, ...task } = taskOf(app, 'web:latest')
    await folders.copy(task, at, signal)
  }
  assert.equal(made.length, 2)
})
