import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, beforeEach, test } from 'vitest'
import { masterStream } from '../../api/master-stream.ts'
import { noLog } from '../../lib/log.ts'
import { appName } from '../../model/names.ts'
import { LoopbackRegistry } from './loopback-registry.ts'
import { PushRegistry } from './push-registry.ts'

type Seen = { readonly line: string; readonly permit: unknown; readonly token: unknown; readonly body: string }
let seen: Seen[] = []
let status = 202
let said = ''
/** A master that answers as the test wants. */
const master = createServer(async (request, response) => {
  const { method, url, headers } = request
  const body = await text(request)
  seen.push({ line: `${method} ${url}`, permit: headers['x-shadow-permit'], token: headers.authorization, body })
  response.writeHead(status, { location: '/v2/blog/blobs/uploads/1', 'x-private': 'no' }).end(said)
})
const registry = new LoopbackRegistry({ log: noLog })
let pushes: PushRegistry
beforeAll(async () => {
  await new Promise<void>(resolve => master.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(master.address() as AddressInfo).port}`
  pushes = new PushRegistry({ stream: masterStream({ url, token: 'of-the-node' }), registry })
})
afterAll(async () => {
  await registry.close()
  master.closeAllConnections()
  await new Promise(resolve => master.close(resolve))
})
beforeEach(() => {
  seen = []
  status = 202
  said = ''
})

const open = () => pushes.open(appName('blog'), 'a permit')
const ask = (
  { address, credentials: { password } }: Awaited<ReturnType<typeof open>>,
  method: string,
  path: string,
  body?: string,
): Promise<Response> =>
  fetch(`http://${address}${path}`, {
    method,
    headers: { authorization: `Basic ${Buffer.from(`node:${password}`).toString('base64')}` },
    ...(body !== undefined && { body }),
  })

test('a push is handed on to the master, with the token of the node and the permit, and no mount of a layer', async () => {
  using opened = await open()
  assert.equal(opened.name, `${opened.address}/blog`)
  const answer = await ask(opened, 'POST', '/v2/blog/blobs/uploads/?mount=sha256:aa&from=shop')
  assert.deepEqual([answer.status, answer.headers.get('location')], [202, '/v2/blog/blobs/uploads/1'])
  assert.equal(answer.headers.get('x-private'), null)
  await ask(opened, 'PATCH', '/v2/blog/blobs/uploads/1?digest=x', 'a layer')
  const about = { permit: 'a permit', token: 'Bearer of-the-node' }
  assert.deepEqual(seen, [
    { line: 'POST /v2/blog/blobs/uploads/', ...about, body: '' },
    { line: 'PATCH /v2/blog/blobs/uploads/1?digest=x', ...about, body: 'a layer' },
  ])
})

test('only the repository of the app is pushed, and only while the push is open', async () => {
  const opened = await open()
  assert.equal((await ask(opened, 'PUT', '/v2/shop/manifests/1', '{}')).status, 404)
  opened[Symbol.dispose]()
  assert.equal((await ask(opened, 'POST', '/v2/blog/blobs/uploads/')).status, 401)
  assert.deepEqual(seen, [])
})

test('a refusal of the master is one that Docker does not try again, and its reason is kept', async () => {
  using opened = await open()
  status = 413
  said = JSON.stringify({ errors: [{ code: 'SIZE_INVALID', message: 'too much', detail: { error: 'too-large' } }] })
  const answer = await ask(opened, 'PATCH', '/v2/blog/blobs/uploads/1', 'a layer')
  const { errors } = (await answer.json()) as { errors: { code: string; message: string }[] }
  assert.deepEqual(errors, [{ code: 'DENIED', message: 'too much' }])
  assert.deepEqual([opened.failure?.code, opened.failure?.message], ['too-large', 'too much'])
})

test('a layer that the master does not have is no failure', async () => {
  using opened = await open()
  status = 404
  assert.equal((await ask(opened, 'HEAD', '/v2/blog/blobs/sha256:aa')).status, 404)
  assert.equal(opened.failure, undefined)
})
