import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { Browser } from '../../testing/browser.ts'
import { HandClock } from '../../testing/clock.ts'
import { type TestMaster, testMaster } from '../../testing/masters.ts'
import { directory } from '../storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-links-'))
const clock = new HandClock()
let masters: [TestMaster, TestMaster]
beforeAll(async () => {
  const open = async () => testMaster(await directory({ path }), clock)
  masters = [await open(), await open()]
})
afterAll(async () => {
  for (const master of masters) await master[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const follow = (master: TestMaster, code: string) => {
  const browser = new Browser(master)
  return browser.send('POST', '/v1/dashboard/session', { body: { code } })
}
const link = async (): Promise<string> => (await masters[0].admin.call('createDashboardLink', {})).url.split('=')[1]!

test('a link has its code in the fragment, and the store has no code', async () => {
  const { url, until } = await masters[0].admin.call('createDashboardLink', {})
  const [, code = ''] = /^http:\/\/127\.0\.0\.1:\d+\/#code=([\w-]{43})$/.exec(url) ?? []
  assert.ok(code.length > 0, url)
  assert.equal(Date.parse(until), clock.wall() + 120_000)
  for (const name of await readdir(path, { recursive: true, withFileTypes: true }))
    if (name.isFile()) assert.ok(!(await readFile(join(name.parentPath, name.name), 'utf8')).includes(code))
})

test('of many browsers that follow one link at two masters, one is signed in', async () => {
  const code = await link()
  const answers = await Promise.all(Array.from({ length: 8 }, (_, at) => follow(masters[at % 2]!, code)))
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [201, ...Array(7).fill(401)])
  const signedIn = answers.find(({ status }) => status === 201)
  assert.equal(signedIn?.body['signedInBy'], 'link')
  assert.match(String((await follow(masters[1], code)).body['detail']), /was used at/)
  await clock.advance(60_000) // the wrong tries of this test are forgotten
})

test('a link is good for two minutes', async () => {
  const [early, late] = [await link(), await link()]
  await clock.advance(119_000)
  assert.equal((await follow(masters[1], early)).status, 201)
  await clock.advance(1_000)
  const { status, body } = await follow(masters[1], late)
  assert.deepEqual([status, body['code']], [401, 'unauthorised'])
  assert.match(String(body['detail']), /has expired/)
})

test('a link of an owner signs in as the owner, and one whose token was revoked signs nobody in', async () => {
  const { id, token } = await masters[0].admin.call('createToken', {
    body: { name: 'bob', role: 'owner', apps: ['bob-*'] },
  })
  const make = async () => (await masters[0].client(token).call('createDashboardLink', {})).url.split('=')[1]!
  const [first, second] = [await make(), await make()]
  const { body } = await follow(masters[1], first)
  assert.deepEqual([body['name'], body['role'], body['apps']], ['bob', 'owner', ['bob-*']])
  await masters[0].admin.call('removeToken', { params: { token: id } })
  assert.equal((await follow(masters[0], second)).status, 401)
})

test('machines make no links', async () => {
  for (const role of ['node', 'proxy'] as const)
    await assert.rejects((await masters[0].as(role)).call('createDashboardLink', {}), error =>
      isFailure(error, 'forbidden'),
    )
})
