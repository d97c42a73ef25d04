import assert from 'node:assert/strict'
import { afterAll, beforeAll, test } from 'vitest'
import { Apart } from '../tools/apart.ts'
import { containersOf, register, until } from '../tools/shadow.ts'

let apart: Apart

beforeAll(async () => {
  apart = await Apart.start(['a', 'b'])
})
afterAll(() => apart[Symbol.asyncDispose]())

const park = (app: string) => apart.admin.call('sleepApp', { params: { app }, query: { to: 'parked' } })
const nodeOf = async (app: string): Promise<string> => {
  const { status, headers, text } = await apart.ask(app)
  assert.equal(status, 200, text)
  return String(headers['x-shadow-node'])
}
const other = (node: string): string => apart.nameOf(node === apart.nameOf('a') ? 'b' : 'a')
const isGone = (node: string, app: string) =>
  until(async () => (await containersOf(node, app)).length === 0 || undefined)

test('a parked app is moved with its volume to another node, and is parked there', async () => {
  await register(apart.admin, 'blog', { volume: { size: '16MiB' } })
  const from = await nodeOf('blog')
  await apart.ask('blog', '/files/page', { method: 'PUT', body: 'kept' })
  await park('blog')
  assert.equal((await containersOf(from, 'blog')).length, 1)
  await apart.admin.call('moveApp', { params: { app: 'blog' }, body: { to: other(from) } })
  await isGone(from, 'blog')
  assert.equal(await nodeOf('blog'), other(from))
  assert.equal((await apart.ask('blog', '/files/page')).text, 'kept')
  await park('blog')
  assert.equal((await containersOf(other(from), 'blog')).length, 1)
  assert.equal((await apart.ask('blog', '/files/page')).text, 'kept')
})

test('a parked app leaves a node that drains, and is woken elsewhere', async () => {
  await register(apart.admin, 'page', {})
  const from = await nodeOf('page')
  await park('page')
  assert.equal((await containersOf(from, 'page')).length, 1)
  await apart.admin.call('drainNode', { params: { node: from }, body: { volumes: 'keep' } })
  assert.equal(await nodeOf('page'), other(from))
  await isGone(from, 'page')
  await apart.admin.call('uncordonNode', { params: { node: from } })
})
