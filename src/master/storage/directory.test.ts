import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdtemp, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { describeStorage } from '../../testing/storage-contract.ts'
import { directory } from './directory.ts'

let path: string
beforeAll(async () => {
  path = await mkdtemp(join(tmpdir(), 'shadow-test-store-'))
})
afterAll(() => rm(path, { recursive: true, force: true }))

describeStorage('directory', () => directory({ path }))

describe('storage directory', () => {
  /** A separate process that runs this code on the store at `path`. */
  const program = (source: string) =>
    spawn(
      process.execPath,
      [
        '--input-type=module-typescript',
        '--eval',
        `import { directory } from '${join(import.meta.dirname, 'directory.ts')}'
         import { increments } from '${join(import.meta.dirname, '../../testing/increments.ts')}'
         const storage = await directory({ path: ${JSON.stringify(path)} })
         ${source}`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )

  test('of several processes that create, exactly one wins', async () => {
    const racers = Array.from({ length: 4 }, () =>
      program(`let won = 0
        for (let round = 0; round < 25; round++)
          await storage.create('between/' + round + '.json', { pid: process.pid }).then(() => won++, error => {
            if (error.code !== 'already-exists') throw error
          })
        console.log(won)`),
    )
    const won = await Promise.all(racers.map(outputOf))
    assert.equal(
      won.reduce((sum, text) => sum + Number(text), 0),
      25,
    )
  })

  test('no increment is lost between processes', async () => {
    const storage = await directory({ path })
    await storage.create('between/counter.json', { n: 0 })
    const writers = Array.from({ length: 3 }, () => program(`await increments(storage, 'between/counter.json', 20)`))
    await Promise.all(writers.map(outputOf))
    assert.deepEqual((await storage.get('between/counter.json'))?.value, { n: 60 })
  })

  test('a writer killed at any moment leaves an old or a new document, whole, and holds nobody up', async () => {
    const storage = await directory({ path })
    let last = -1
    await storage.create('killed/doc.json', { n: 0, body: '' })
    for (let round = 0; round < 12; round++) {
      const writer = program(`
        let now = await storage.get('killed/doc.json')
        for (let n = now.value.n + 1; ; n++) {
          const etag = await storage.update('killed/doc.json', { n, body: String(n % 10).repeat(200_000) }, now.etag)
          now = { etag }
          console.log(n)
        }`)
      let seen = -1
      writer.stdout.on('data', chunk => {
        seen = Number(String(chunk).trim().split('\n').at(-1))
      })
      await once(writer.stdout, 'data')
      await wait(Math.random() * 30)
      writer.kill('SIGKILL')
      await once(writer, 'close')
      const { value, etag } = (await storage.get('killed/doc.json'))!
      const { n, body } = value as { n: number; body: string }
      assert.ok(n >= seen && n > last, `${n} is there though ${seen} was written`)
      assert.equal(body, String(n % 10).repeat(200_000))
      await storage.update('killed/doc.json', value as object, etag)
      last = n
    }
  })

  test('what a dead writer left is never listed, and swept when it is old', async () => {
    const storage = await directory({ path })
    const [old, recent] = [join(path, '.parts/old.part'), join(path, '.parts/recent.part')]
    await writeFile(old, '{')
    await writeFile(recent, '{')
    await utimes(old, new Date(0), new Date(0))
    assert.equal((await storage.list('')).filter(key => key.includes('part')).length, 0)
    await directory({ path })
    await assert.rejects(access(old))
    await access(recent)
    await rm(recent)
  })

  test('a document is JSON that a person can read, for its owner alone', async () => {
    const storage = await directory({ path })
    await storage.create('read/me.json', { hello: 'you' })
    assert.match(
      await readFile(join(path, 'read/me.json'), 'utf8'),
      /^\{\n {2}"hello": "you",\n {2}"writeId": "[0-9a-f-]{36}"\n\}\n$/,
    )
    assert.deepEqual(
      (await readdir(join(path, '.parts'))).filter(name => name.startsWith('me.json')),
      [],
    )
    assert.equal((await stat(join(path, 'read/me.json'))).mode & 0o777, 0o600)
  })

  test('a disk that went away is told from a document that is not there, and its return is noticed', async () => {
    const storage = await directory({ path })
    const etag = await storage.create('away/doc.json', {})
    await rename(path, `${path}-away`)
    try {
      for (const call of [
        () => storage.get('away/doc.json'),
        () => storage.create('away/new.json', {}),
        () => storage.update('away/doc.json', {}, etag),
        () => storage.remove('away/doc.json'),
        () => storage.list('away/'),
      ])
        await assert.rejects(call(), error => isFailure(error, 'storage-unreachable'))
    } finally {
      await rename(`${path}-away`, path)
    }
    await storage.update('away/doc.json', { back: true }, etag)
    assert.deepEqual((await storage.get('away/doc.json'))?.value, { back: true })
  })

  test('a document that somebody broke by hand is told of by its key', async () => {
    const storage = await directory({ path })
    await storage.create('broken/doc.json', {})
    await writeFile(join(path, 'broken/doc.json'), '{ "half"')
    await assert.rejects(storage.get('broken/doc.json'), /broken\/doc\.json is not JSON/)
  })
})

async function outputOf(child: ReturnType<typeof spawn>): Promise<string> {
  let output = ''
  child.stdout?.on('data', chunk => {
    output += chunk
  })
  const [code] = await once(child, 'close')
  assert.equal(code, 0)
  return output
}
