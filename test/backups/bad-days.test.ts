import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { describe, test } from 'vitest'
import { resticHere } from '../../src/testing/restic.ts'
import { storageSetting } from '../tools/cluster.ts'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'
import { patiently } from '../tools/patiently.ts'
import { minio } from '../tools/s3-servers.ts'
import { isCode, Shadow, until } from '../tools/shadow.ts'

const run = promisify(execFile)
const restic = resticHere()
const params = { app: 'blog' }
/** restic has a low priority, which is long on a busy machine. */
const patient = () => ({ signal: AbortSignal.timeout(600_000) })
const SHADOW_RESTIC = restic ?? 'restic'

const putTo = (shadow: Shadow) => async (name: string, body: Buffer | string) =>
  assert.equal((await shadow.ask('blog', `/files/${name}`, { method: 'PUT', body })).status, 200)
const readFrom = (shadow: Shadow) => async (name: string) => (await shadow.ask('blog', `/files/${name}`)).text

/** A folder on a filesystem of its own that has so much room. */
async function small(mib: number): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  await run('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', path])
  return {
    path,
    async [Symbol.asyncDispose]() {
      await run('umount', ['--lazy', path])
      await rm(path, { recursive: true, force: true })
    },
  }
}

describe.skipIf(restic === undefined)('bad days of backups', { timeout: 600_000 }, () => {
  test('a disk that gets full while a backup is restored: the error says so, the app serves its data, and with room it is restored', async () => {
    await using data = await small(200)
    await using elsewhere = await small(200)
    const env = { SHADOW_RESTIC, SHADOW_STORAGE: `directory:${elsewhere.path}/store`, SHADOW_DISK_FLOOR: '1MiB' }
    await using shadow = await Shadow.start({ data: data.path, env })
    const [put, read] = [putTo(shadow), readFrom(shadow)]
    await shadow.register('blog', { volume: { size: '128MiB' } })
    await put('page', 'first')
    await put('large', randomBytes(60_000_000))
    await shadow.admin.call('backUpApp', { params, ...patient() })
    await put('page', 'second')

    const restored = shadow.admin.call('restoreApp', { params, body: {}, ...patient() })
    restored.catch(() => undefined)
    const folder = `${data.path}/volumes/blog`
    await patiently(async () => (await readdir(folder)).some(name => name.startsWith('restoring-')))
    const filler = createWriteStream(`${data.path}/filler`)
    filler.on('error', () => undefined) // until the disk is full
    for (let n = 0; n < 200 && !filler.errored; n++)
      await new Promise<void>(done => filler.write(randomBytes(2 ** 20), () => done()))
    filler.destroy()
    await finished(filler).catch(() => undefined)
    await assert.rejects(restored, isCode('disk-full', /space|room/))

    assert.equal(await read('page'), 'second')
    assert.deepEqual(
      (await readdir(folder)).filter(name => name.startsWith('restoring-')),
      [],
    )
    const { failure } = await shadow.admin.call('listBackups', { params })
    assert.equal(failure, null)
    await rm(`${data.path}/filler`)
    await shadow.admin.call('restoreApp', { params, body: {}, ...patient() })
    assert.equal(await read('page'), 'first')
  })

  test('a backup is restored while requests are in flight: each is answered, by the app of before or of after', async () => {
    await using shadow = await Shadow.start({ env: { SHADOW_RESTIC } })
    const [put, read] = [putTo(shadow), readFrom(shadow)]
    await shadow.register('blog', { volume: { size: '64MiB' } })
    await put('page', 'first')
    await shadow.admin.call('backUpApp', { params, ...patient() })
    await put('page', 'second')

    const stopped = new AbortController()
    const answers = new Set<string>()
    const pages: string[] = []
    const asking = [0, 1, 2].map(async () => {
      while (!stopped.signal.aborted) {
        const { status, text } = await shadow.ask('blog', '/files/page')
        answers.add(status === 200 ? '200' : `${status} ${text}`)
        pages.push(text)
        await wait(5)
      }
    })
    const slow = shadow.ask('blog', '/slow?ms=1500')
    await until(async () => ((await shadow.instance('blog')).phase === 'awake' ? true : undefined))
    const { heldMs, kept } = await shadow.admin.call('restoreApp', { params, body: {}, ...patient() })
    assert.ok(heldMs > 0 && kept !== null)
    assert.equal((await slow).status, 200)
    assert.equal(await read('page'), 'first')
    stopped.abort()
    await Promise.all(asking)
    assert.deepEqual([...answers], ['200'])
    const turn = pages.indexOf('first')
    assert.ok(turn > 0, 'the app has served before, and after')
    assert.ok(!pages.slice(turn + asking.length).includes('second'), 'once it is restored, it stays so')
  })

  test('a bucket that refuses: the error names it, the backups of before are whole, and later ones are made', async () => {
    await using s3 = await minio()
    if (s3 === undefined) return
    const place = s3.place('shadow')
    assert.equal(place.kind, 's3')
    await using door = await refusing(place.kind === 's3' ? place.endpoint : '')
    const env = { SHADOW_RESTIC, SHADOW_STORAGE: storageSetting({ ...place, endpoint: door.url } as typeof place) }
    await promisify(execFile)('mkdir', ['-p', join(s3.folder, 'shadow')])
    await using shadow = await Shadow.start({ env })
    const [put, read] = [putTo(shadow), readFrom(shadow)]
    await shadow.register('blog', { volume: { size: '64MiB' } })
    await put('page', 'first')
    await put('large', randomBytes(5_000_000))
    await shadow.admin.call('backUpApp', { params, ...patient() })

    await put('page', 'second')
    await put('large', randomBytes(5_000_000))
    door.refuses = /\/backups\/blog\/data\//
    const failed = shadow.admin.call('backUpApp', { params, signal: AbortSignal.timeout(600_000) })
    failed.catch(() => undefined)
    await patiently(async () => door.refused > 0)
    await shadow.pass(70_000) // the node is patient with a bucket for a minute
    await assert.rejects(failed, /refuse|denied|forbidden|cannot be used|storage/i)
    assert.equal(await read('page'), 'second', 'the app serves on')
    assert.equal((await shadow.admin.call('listBackups', { params })).items.length, 1)
    assert.notEqual((await shadow.admin.call('listBackups', { params })).failure, null)

    door.refuses = undefined
    await shadow.spoken()
    await shadow.admin.call('restoreApp', { params, body: {}, ...patient() })
    assert.equal(await read('page'), 'first')
    await shadow.admin.call('backUpApp', { params, ...patient() })
    assert.equal((await shadow.admin.call('listBackups', { params })).failure, null)
  })
})

/** A bucket that refuses to store files whose paths match. */
async function refusing(endpoint: string) {
  const to = new URL(endpoint)
  let refuses: RegExp | undefined
  let refused = 0
  const server: Server = createServer((asked, answer) => {
    if (asked.method === 'PUT' && refuses?.test(asked.url ?? '')) {
      refused += 1
      asked.resume()
      answer.writeHead(403, { 'content-type': 'application/xml' })
      answer.end('<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>')
      return
    }
    // With its own Host, which is signed.
    const { method, url: path, headers } = asked
    const passed = request({ host: to.hostname, port: to.port, method, path, headers }, response => {
      answer.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(answer)
    })
    passed.on('error', () => answer.destroy())
    asked.pipe(passed)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    set refuses(paths: RegExp | undefined) {
      refuses = paths
    },
    get refused() {
      return refused
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
