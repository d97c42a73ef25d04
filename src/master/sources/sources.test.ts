import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, beforeAll, test } from 'vitest'
import { permitHeaders } from '../../api/paths.ts'
import { isFailure } from '../../lib/errors.ts'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { directory } from '../storage/directory.ts'

const path = await mkdtemp(join(tmpdir(), 'shadow-test-sources-http-'))
let on: TestMaster
beforeAll(async () => {
  const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_STORAGE: `directory:${path}` }
  on = await testMaster(await directory({ path }), new HandClock(), settings)
})
afterAll(async () => {
  await on[Symbol.asyncDispose]()
  await rm(path, { recursive: true, force: true })
})

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')
async function stored(text: string): Promise<string> {
  const digest = digestOf(text)
  const content = (async function* () {
    yield Buffer.from(text)
  })()
  await on.admin.raw('putBlob', { params: { digest }, content })
  return digest
}

test('a definition names a source that is stored, and no other', async () => {
  const digest = digestOf('never stored')
  await assert.rejects(
    on.admin.call('registerApp', { body: { name: 'none', image: 'node', source: { digest } } }),
    (error: unknown) => isFailure(error, 'bad-input') && /there is no blob .*; store it first/.test(error.message),
  )
  await assert.rejects(on.admin.call('registerApp', { body: { name: 'none', image: 'node', source: { digest: 'x' } } }))
})

test('a node reads the sources of an app that is placed on it: of all its revisions, and no other blob', async () => {
  const [one, two, other] = [await stored('one'), await stored('two'), await stored('of another app')]
  const body = (digest: string) => ({ image: 'node', source: { digest } })
  await on.admin.call('registerApp', { body: { name: 'blog', ...body(one) } })
  await on.admin.call('replaceApp', { params: { app: 'blog' }, body: body(two) })
  const { permit } = await on.admin.call('getHost', { params: { hostname: 'blog.localhost' } })
  const node = await on.as('node')
  const read = async (digest: string, shown?: string): Promise<string> => {
    const params = { app: 'blog', digest }
    const { body } = await node.raw('getSource', { params, headers: permitHeaders(shown) })
    return (await buffer(body)).toString()
  }
  assert.deepEqual([await read(one, permit), await read(two, permit)], ['one', 'two'])
  await assert.rejects(read(other, permit), (error: unknown) => isFailure(error, 'not-found'))
  await assert.rejects(read(two), (error: unknown) => isFailure(error, 'forbidden'))
})

test('a rollback of the definition brings the earlier source back', async () => {
  const { task } = await on.admin.call('updateApp', {
    params: { app: 'blog' },
    body: { source: { digest: digestOf('one') } },
  })
  assert.deepEqual([task.revision, task.source?.digest], [3, digestOf('one')])
})
