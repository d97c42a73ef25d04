import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { socketHere } from '../../src/nodeproxy/config.ts'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'
import { isCode, Shadow, until } from '../tools/shadow.ts'

const run = promisify(execFile)
const VOLUME = { volume: { size: '32MiB' } }

type Answer = { status: number; code: string; detail: string; faults: Record<string, string> }

/** Sends the master a request that our own clients would not send. */
async function say(shadow: Shadow, method: string, path: string, body: string, token?: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${token ?? shadow.up.adminToken}`, 'content-type': 'application/json' }
  const response = await fetch(`${shadow.up.masterUrl}${path}`, { method, headers, body })
  const {
    code,
    detail,
    faults = [],
  } = (await response.json()) as {
    code: string
    detail: string
    faults?: { field: string; message: string }[]
  }
  const byField = Object.fromEntries(faults.map(({ field, message }) => [field, message]))
  return { status: response.status, code, detail, faults: byField }
}

const update = (shadow: Shadow, body: Record<string, unknown>) =>
  shadow.admin.call('updateApp', { params: { app: 'blog' }, body })

describe('what the master is told wrongly', () => {
  test('is refused with each fault by its field, all at once, and nothing is registered', async () => {
    await using shadow = await Shadow.start()
    for (const text of ['', '{', '[]', '"blog"', '{"name":"blog",}']) {
      const { status, code } = await say(shadow, 'POST', '/v1/apps', text)
      assert.deepEqual([status, code], [400, 'bad-input'], text)
    }
    const { status, code, faults } = await say(
      shadow,
      'POST',
      '/v1/apps',
      JSON.stringify({
        name: 'Blog_1',
        image: 7,
        imag: 'typo',
        domains: ['http://blog.test/', '127.0.0.1', 'blog..test'],
        port: 70_000,
        env: { '1BAD': 'x', GOOD: 1 },
        volume: { size: '10 bananas', path: 'data' },
        limits: { memory: '1MiB', cpus: 0 },
        startWithin: 'soon',
        sleep: { idleAfter: '5', grace: '-1s', idle: '5m' },
        ready: { kind: 'magic' },
      }),
    )
    assert.deepEqual([status, code], [400, 'bad-input'])
    assert.deepEqual(
      Object.keys(faults).sort(),
      [
        'domains.0',
        'domains.1',
        'domains.2',
        'env.1BAD',
        'env.GOOD',
        'image',
        'imag',
        'limits.cpus',
        'limits.memory',
        'name',
        'port',
        'ready.kind',
        'sleep.grace',
        'sleep.idle',
        'sleep.idleAfter',
        'startWithin',
        'volume.path',
        'volume.size',
      ].sort(),
    )
    assert.match(faults['imag'] ?? '', /did you mean "image"/)
    assert.match(faults['name'] ?? '', /"B" at position 0/)
    assert.deepEqual((await shadow.admin.call('listApps', {})).items, [])
  })

  test('about an app that runs leaves it as it is', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', VOLUME)
    const { boot } = (await shadow.ask('blog')).json
    for (const [body, field] of [
      ['{"port":"8000"}', 'port'],
      ['{"volume":{"size":"1MiB"}}', 'volume.size'],
      ['{"volume":{"size":"16MiB"}}', 'volume.size'], // the volume is larger
      ['{"name":"other"}', 'name'],
      ['{"image":null}', 'image'],
    ] as const) {
      const { status, faults } = await say(shadow, 'PATCH', '/v1/apps/blog', body)
      assert.deepEqual([status, Object.keys(faults)], [400, [field]], body)
    }
    assert.deepEqual((await shadow.ask('blog')).json.boot, boot)
    assert.equal((await shadow.admin.call('getApp', { params: { app: 'blog' } })).task.revision, 1)
  })

  test('by somebody without a token, with a wrong one, or with one for something else is refused, and nothing is done', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    const { token } = await shadow.admin.call('createToken', { body: { name: 'front', role: 'proxy' } })
    for (const [shown, wanted] of [
      ['', [401, 'unauthorised']],
      ['shadow_wrong', [401, 'unauthorised']],
      [token, [403, 'forbidden']],
    ] as const) {
      const { status, code } = await say(shadow, 'DELETE', '/v1/apps/blog', '', shown)
      assert.deepEqual([status, code], wanted)
    }
    const stranger = masterClient({ url: shadow.up.masterUrl, token: 'shadow_wrong', withinMs: 5_000 })
    await assert.rejects(stranger.call('listApps', {}), isCode('unauthorised', /does not know this token/))
    assert.equal((await shadow.ask('blog')).status, 200)
  })
})

describe('a definition that cannot be run', () => {
  test('for its image or its command is told of, and the next that can be run is', async () => {
    await using shadow = await Shadow.start()
    const { task } = await shadow.register('blog', VOLUME)
    await shadow.ask('blog', '/files/note', { method: 'PUT', body: 'kept' })
    for (const [wrong, code] of [
      [{ image: 'no.registry.invalid/none:1' }, 'image-not-found'],
      [{ image: task.image, command: ['/no/such/program'] }, 'command-not-found'],
    ] as const) {
      // A definition that cannot run does not disturb the awake app.
      await assert.rejects(update(shadow, wrong), isCode(code))
      assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
      assert.equal((await shadow.instance('blog')).revision, 1)
    }
    for (const [wrong, code] of [
      [{ image: 'no.registry.invalid/none:1' }, 'image-not-found'],
      [{ image: task.image, command: ['/no/such/program'] }, 'command-not-found'],
    ] as const) {
      // While the app is asleep, its new definition is not checked. The previous revision goes on serving.
      await shadow.sleep('blog')
      const { task: next } = await update(shadow, wrong)
      await shadow.eventually(async () => (await shadow.ask('blog', '/files/note')).text === 'kept')
      const { revision, rejected } = await shadow.instance('blog')
      assert.deepEqual([revision, rejected?.revision, rejected?.problem.code], [1, next.revision, code])
    }
    await update(shadow, { command: null })
    await shadow.eventually(async () => {
      await shadow.ask('blog', '/files/note')
      const { phase, rejected, revision } = await shadow.instance('blog')
      return phase === 'awake' && rejected === null && revision > 1
    })
  })

  test('for its check is told of with the answer that came, and how it was asked', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { ready: { kind: 'http', path: '/nowhere' }, domains: ['blog.example.test'] })
    const asked = shadow.ask('blog.example.test')
    await shadow.untilLogged('blog', /listens/)
    await shadow.pass(60_000)
    assert.equal((await asked).json.code, 'app-not-ready')
    const { problem } = await shadow.until('blog', 'crashed')
    assert.match(
      problem?.detail ?? '',
      /no good answer on \/nowhere at port 8000 within 1m; its last answer was 404 Not Found, asked as https?:\/\/blog\.example\.test\/nowhere/,
    )
  })

  test('for its port is told of when its time is over, with the port', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { env: { LISTEN_WHEN: '/never' } })
    const asked = shadow.ask('blog')
    await shadow.untilLogged('blog', /booted/)
    await shadow.pass(60_000)
    const { status, json } = await asked
    assert.deepEqual([status, json.code, json.detail], [504, 'app-not-ready', 'It did not answer in time.'])
    const { problem } = await shadow.until('blog', 'crashed')
    assert.deepEqual(problem?.facts, { port: 8000 })
    assert.match(problem?.detail ?? '', /gave no answer on port 8000 within 1m/) // visitors do not get this detail
    assert.deepEqual(await shadow.containers('blog'), [])
  })
})

describe('no room', () => {
  test('on its volume is for the app to deal with: what it has is kept, and a larger volume has room', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', VOLUME)
    await shadow.ask('blog', '/files/note', { method: 'PUT', body: 'kept' })
    const large = { method: 'PUT', body: Buffer.alloc(40_000_000, 'x') }
    const { status, text } = await shadow.ask('blog', '/files/large', large)
    assert.equal(status, 500)
    assert.match(text, /ENOSPC/)
    assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
    await shadow.sleep('blog')
    assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')

    await update(shadow, { volume: { size: '96MiB' } })
    await shadow.until('blog', ({ revision }) => revision === 2)
    assert.equal((await shadow.ask('blog', '/files/large', large)).status, 200)
    assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
  })

  test('on the disk of the data folder is told of, loses nothing, and is over when there is room', async () => {
    await using disk = await smallDisk(256)
    await using shadow = await Shadow.start({ data: `${disk.path}/data` })
    await shadow.register('blog', VOLUME)
    await shadow.register('new', VOLUME)
    await shadow.ask('blog', '/files/note', { method: 'PUT', body: 'kept' })
    await disk.fill()
    // At once: a master that cannot write takes no word of the node either, and counts it as gone after some seconds.
    const { status, json } = await shadow.ask('new')
    assert.deepEqual([status, json.code], [507, 'disk-full'])
    await assert.rejects(shadow.register('more'), isCode('disk-full'))
    assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
    for (let times = 0; times < 3; times += 1) {
      await shadow.sleep('blog')
      await disk.fill() // what its sleep gave back
      assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
    }

    await disk.free()
    await shadow.register('more')
    await shadow.pass(5_000)
    for (const app of ['new', 'more']) assert.equal((await shadow.ask(app)).status, 200)
    assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
  })
})

describe('Docker', () => {
  test('that is not there when Shadow starts is told of, and apps are served when it is', async () => {
    const folder = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
    const socket = `${folder}/docker.sock`
    await using shadow = await Shadow.start({ env: { SHADOW_DOCKER_SOCKET: socket } })
    await shadow.register('blog', VOLUME)
    const { status, json } = await shadow.ask('blog')
    assert.ok([502, 503].includes(status), String(status))
    assert.ok(['runtime-unreachable', 'no-node'].includes(json.code), json.code)

    await using way = await wayToDocker(socket)
    await shadow.pass(5_000)
    await shadow.eventually(async () => (await shadow.ask('blog')).status === 200)
    const { boot } = (await shadow.ask('blog')).json

    way.cut()
    assert.deepEqual((await shadow.ask('blog')).json.boot, boot, 'an app that is awake needs no Docker')
    await assert.rejects(shadow.sleep('blog'), isCode('app-stuck'))
    assert.match((await shadow.instance('blog')).problem?.detail ?? '', /Docker does not answer/)
    assert.ok((await shadow.instance('blog')).held.includes('detach'))

    way.mend()
    await shadow.eventually(async () => (await shadow.ask('blog')).status === 200)
    await shadow.sleep('blog')
    assert.deepEqual([await shadow.containers('blog'), await shadow.mountsAndDevices()], [[], []])
    await rm(folder, { recursive: true })
  })
})

/** A disk of this many MiB that can be filled to its last byte. */
async function smallDisk(mebibytes: number) {
  const folder = await mkdtemp(join(tmpdir(), `${TEST_FOLDER_PREFIX}disk-`))
  const path = `${folder}/mnt`
  await writeFile(`${folder}/image`, '')
  await truncate(`${folder}/image`, mebibytes * 2 ** 20)
  await run('mkfs.ext4', ['-q', '-m', '0', `${folder}/image`])
  await run('mkdir', [path])
  await run('mount', ['-o', 'loop', `${folder}/image`, path])
  return {
    path,
    async fill() {
      const { bavail, bsize } = await statfs(path)
      await run('fallocate', ['-l', String(bavail * bsize), `${path}/filler`]).catch(() => undefined) // a little less than `bavail` fits
      await run('sh', ['-c', `cat /dev/zero >>${path}/filler`]).catch(() => undefined) // until no byte fits
    },
    free: () => rm(`${path}/filler`),
    async [Symbol.asyncDispose]() {
      // Docker releases its copies of a container's mounts a moment after the container is gone.
      await until(() => run('umount', [path]).catch(() => undefined))
      await rm(folder, { recursive: true })
    },
  }
}

/** A socket that forwards to Docker, and can be cut. */
async function wayToDocker(socket: string) {
  const real = socketHere()
  const open = new Set<Socket>()
  let isCut = false
  const server = createServer(client => {
    const docker = connect(real)
    for (const one of [client, docker]) {
      open.add(one)
      one.on('error', () => undefined).on('close', () => open.delete(one))
    }
    if (isCut) client.destroy()
    client.pipe(docker).pipe(client)
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  const cut = (): void => {
    isCut = true
    for (const one of open) one.destroy()
  }
  return {
    cut,
    mend: () => {
      isCut = false
    },
    async [Symbol.asyncDispose]() {
      cut()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
