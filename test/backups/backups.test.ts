import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { resticHere } from '../../src/testing/restic.ts'
import { Shadow } from '../tools/shadow.ts'

const restic = resticHere()

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start({ env: { SHADOW_RESTIC: restic ?? 'restic' } })
})
afterAll(() => shadow?.[Symbol.asyncDispose]())

async function cli(line: string) {
  const env = { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken }
  const terminal = new FakeTerminal({ env, now: Date.now() })
  const exit = await run(line.split(' '), terminal)
  return { exit, out: terminal.stdout, err: terminal.stderr }
}

async function done(line: string): Promise<string> {
  const { exit, out, err } = await cli(line)
  assert.equal(exit, 0, err)
  return `${out}${err}`
}

const put = (app: string, name: string, body: Buffer | string) =>
  shadow.ask(app, `/files/${name}`, { method: 'PUT', body })
const read = async (app: string, name: string) => (await shadow.ask(app, `/files/${name}`)).text

describe.skipIf(restic === undefined)('backups by the commands', () => {
  test('an app in use is backed up and restored, to itself and to another app, and the restore is undone', async () => {
    await shadow.register('blog', { volume: { size: '64MiB' }, env: { SECRET: 'kept' } })
    await put('blog', 'post', 'first')
    await put('blog', 'large', randomBytes(5_000_000))
    assert.equal((await shadow.instance('blog')).phase, 'awake')
    const id = (await done('backup blog --json')).match(/"id":"([0-9a-f]{64})"/)?.[1] ?? ''
    assert.equal((await shadow.instance('blog')).phase, 'awake')

    await put('blog', 'post', 'second')
    assert.match(await done(`restore blog ${id.slice(0, 8)} --dry-run`), /nothing was changed/)
    assert.equal(await read('blog', 'post'), 'second')
    await done(`restore blog ${id.slice(0, 8)} --yes`)
    assert.equal(await read('blog', 'post'), 'first')
    await done('restore blog --undo --yes')
    assert.equal(await read('blog', 'post'), 'second')

    await done('restore blog --to blog-test --yes')
    assert.equal(await read('blog-test', 'post'), 'first')
    const { task } = await shadow.admin.call('getApp', { params: { app: 'blog-test' } })
    assert.equal(task.env['SECRET'], 'kept')
    const left = await readdir(`${shadow.data}/volumes/blog`)
    assert.deepEqual(
      left.filter(name => /view|restoring/.test(name)),
      [],
    )
  })

  test('an app that sleeps is backed up without being woken, and what was done is in its log', async () => {
    await shadow.sleep('blog')
    await done('backup blog')
    assert.equal((await shadow.instance('blog')).phase, 'asleep')
    await done('backup verify blog')
    assert.equal((await shadow.instance('blog')).phase, 'asleep')
    const lines = (await shadow.logs('blog')).map(({ line }) => line).join('\n')
    assert.match(lines, /backup \w{8} made in/)
    assert.match(lines, /backup \w{8} tested in .*: it is whole/)
    assert.match(await done('backups blog'), /BACKUP +AGE/)
  })

  test('the backups of a removed app are restored to another one, and are deleted with their key', async () => {
    await done('remove blog --with-volume --yes')
    await done('restore blog --to blog-test --yes')
    assert.equal(await read('blog-test', 'post'), 'second')
    assert.match((await cli('restore blog --yes')).err, /no app is called blog/)
    assert.match(await done('backup key blog'), /keep it apart from the store/)
    await done('backup rm blog --all --yes')
    const { exit, err } = await cli('backup ls blog')
    assert.deepEqual([exit, /no backups of blog/.test(err)], [3, true], err)
  })
})

test('a node without restic says how to get it', async () => {
  await using bare = await Shadow.start({ env: { SHADOW_RESTIC: '/nowhere/restic' } })
  await bare.register('blog', { volume: { size: '16MiB' } })
  await bare.wake('blog')
  await assert.rejects(bare.admin.call('backUpApp', { params: { app: 'blog' } }), error =>
    /no restic at \/nowhere\/restic.*0\.16 or later/.test(String(error)),
  )
})
