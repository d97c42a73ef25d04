import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { builtImage, busyboxImage } from '../tools/images.ts'
import { isCode, Shadow } from '../tools/shadow.ts'

let shadow: Shadow
let token: string
beforeAll(async () => {
  shadow = await Shadow.start()
  token = shadow.up.adminToken
})
afterAll(() => shadow[Symbol.asyncDispose]())

const sleep = { idleAfter: '5m', grace: '1s' } as const

/** Types a line of the CLI, with something on stdin. */
async function type(line: string, stdin?: string, as = token) {
  const env = { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: as }
  const terminal = new FakeTerminal({ env, ...(stdin !== undefined && { stdin: Readable.from([Buffer.from(stdin)]) }) })
  return { exit: await run(line.split(' '), terminal), stdout: terminal.stdout, stderr: terminal.stderr }
}
async function ok(line: string, stdin?: string): Promise<string> {
  const { exit, stdout, stderr } = await type(line, stdin)
  assert.equal(exit, 0, `${line}: ${stderr}`)
  return stdout
}
const env = async (app: string): Promise<Record<string, string>> => (await shadow.ask(app, '/env')).json

test('an app is changed by releases and secrets, and rolled back to the first with the secrets that it had', async () => {
  await shadow.register('blog', { env: { GREETING: 'one' }, volume: { size: '16MiB' }, sleep })
  assert.equal((await env('blog'))['GREETING'], 'one')
  await ok('secrets set blog API_KEY', 'first-secret\n')
  assert.equal((await env('blog'))['API_KEY'], 'first-secret')
  await ok('update blog --env GREETING=two')
  await ok('secrets set blog API_KEY=- --stage', 'second-secret')
  const waiting = await env('blog')
  assert.deepEqual([waiting['GREETING'], waiting['API_KEY']], ['two', 'first-secret'])
  assert.match(await ok('secrets ls blog'), /API_KEY {2}[0-9a-f]{12} {2}2 {14}[0-9a-f]{12}/)
  await ok('update blog --env GREETING=three --note later')
  const after = await env('blog')
  assert.deepEqual([after['GREETING'], after['API_KEY']], ['three', 'second-secret'])
  assert.match(await ok('secrets ls blog'), /API_KEY {2}[0-9a-f]{12} {2}4 {14}-/)

  const differs = await ok('diff blog 2')
  for (const field of [/env\.GREETING +digest [0-9a-f]{12} +digest/, /secrets\.API_KEY +digest [0-9a-f]{12} +digest/])
    assert.match(differs, field)

  const { exit, stderr } = await type('rollback blog 2')
  assert.equal(exit, 0, stderr)
  assert.match(
    stderr,
    /^blog is at release 5, which is release 2 again: shadow-test\/node:[0-9a-f]+@[0-9a-f]{12}, secrets version 1\n/,
  )
  const back = await env('blog')
  assert.deepEqual([back['GREETING'], back['API_KEY']], ['one', 'first-secret'])
  const listed = await ok('releases blog')
  assert.match(listed, /^5 .* rollback to 2 \(admin\) .* version 1 +current, serves .*secrets ~API_KEY$/m)
  assert.match(listed, /^4 .* update \(admin\) .* version 3 +ready +"later" env ~GREETING, secrets ~API_KEY$/m)
  for (const text of [listed, differs, stderr, await ok('status blog')])
    assert.doesNotMatch(text, /(first|second)-secret/)
})

test('a .env file on stdin gives secrets, an export carries them, and they are taken away by name', async () => {
  await shadow.register('shop', { env: { A: '1' }, sleep })
  await ok('secrets import shop', '# of the shop\nexport ONE="a b"\nTWO=2\n')
  const seen = await env('shop')
  assert.deepEqual([seen['ONE'], seen['TWO'], seen['A']], ['a b', '2', '1'])
  const { exit, stderr } = await type('secrets import shop', 'TWO=3\nno variable\n')
  assert.deepEqual([exit, /line 2: is not NAME=VALUE/.test(stderr)], [2, true], stderr)
  await ok('secrets unset shop TWO')
  const gone = await type('secrets unset shop TWO')
  assert.deepEqual([gone.exit, /it has no secret TWO/.test(gone.stderr)], [3, true], gone.stderr)
  assert.deepEqual(
    Object.keys(await env('shop')).filter(name => ['ONE', 'TWO'].includes(name)),
    ['ONE'],
  )

  const out = new FakeTerminal({
    env: { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: token, SHADOW_PASSPHRASE: 'battery staple' },
  })
  assert.equal(await run(['export', 'shop'], out), 0, out.stderr)
  const archive = Buffer.concat(out.bytes)
  const into = new FakeTerminal({ env: out.env as Record<string, string>, stdin: Readable.from([archive]) })
  assert.equal(await run(['import', '--as', 'copy', '--domain', 'copy.localhost'], into), 0, into.stderr)
  const copied = await env('copy')
  assert.deepEqual([copied['ONE'], copied['A']], ['a b', '1'])
})

test('a release that crashes is rejected, the one before serves on, and a rollback goes to it without being told which', async () => {
  const name = `release-${randomBytes(3).toString('hex')}`
  const bad = await builtImage(name, 'CMD ["sh", "-c", "echo it does not start; exit 3"]')
  try {
    await shadow.register('web', { sleep })
    assert.equal((await shadow.ask('web')).status, 200)
    const update = await type(`update web --image ${bad}`)
    assert.equal(update.exit, 5, update.stderr)
    assert.match(update.stderr, /revision 2 of web is not taken, revision 1 serves on/)
    assert.equal((await shadow.ask('web')).status, 200)
    const listed = await ok('releases web')
    assert.match(listed, /^2 .*current, rejected/m)
    assert.match(listed, /^1 .* serves /m)
    const { exit, stderr } = await type('rollback web')
    assert.equal(exit, 0, stderr)
    assert.match(stderr, /^web is at release 3, which is release 1 again/)
    assert.match(await ok('releases web'), /^3 .*current, serves.*\n2 .*rejected/m)
    assert.equal((await shadow.ask('web')).status, 200)
  } finally {
    await promisify(execFile)('docker', ['rmi', '--force', bad])
  }
})

test('a token without the right is told so, and changes nothing', async () => {
  const image = await busyboxImage()
  await shadow.admin.call('registerApp', { body: { name: 'closed', image, secrets: { KEY: 'hush' } } })
  const made = await shadow.admin.call('createToken', { body: { name: 'front', role: 'proxy' } })
  for (const line of [
    'releases closed',
    'rollback closed 1',
    'diff closed',
    'secrets ls closed',
    'secrets unset closed KEY',
  ]) {
    const { exit, stderr } = await type(line, '', made.token)
    assert.equal(exit, 6, line)
    assert.match(
      stderr,
      /a token of the role proxy may not do this: .*\nhint: it takes a token of the role admin/,
      line,
    )
  }
  const front = masterClient({ url: shadow.up.masterUrl, token: made.token, withinMs: 10_000 })
  await assert.rejects(front.call('getDefinition', { params: { app: 'closed' } }), isCode('forbidden'))
  assert.equal((await shadow.admin.call('getApp', { params: { app: 'closed' } })).task.revision, 1)
})
