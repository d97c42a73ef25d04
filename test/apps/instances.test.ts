import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { test } from 'vitest'
import { type NodeClient, nodeClient } from '../../src/api/client.ts'
import { HOP_INSTANCE, HOP_KEY, permitHeaders } from '../../src/api/paths.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { appName } from '../../src/model/names.ts'
import { isCode, Shadow } from '../tools/shadow.ts'
import { type Answer, Visitor } from '../tools/visitor.ts'

const plain = instanceId(appName('blog'))
const second = instanceId(appName('blog'), 'b')

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()

/** The node as masters and fronts use it: its API, and requests for an instance. */
async function nodeOf(shadow: Shadow) {
  const { address, port, keys } = shadow.up.nodeproxy
  const { permit } = await shadow.admin.call('getHost', { params: { hostname: 'blog.localhost' } })
  const client = nodeClient({ url: `http://${address}`, token: keys.control, withinMs: 60_000 })
  const visitor = new Visitor(() => port)
  const headers = (id: string) => ({ [HOP_INSTANCE]: id, [HOP_KEY]: keys.traffic, ...permitHeaders(permit) })
  return {
    client,
    ask: (id: string, path = '/'): Promise<Answer> => visitor.ask('blog.localhost', path, { headers: headers(id) }),
    begin: (id: string, path: string) => visitor.begin('blog.localhost', path, { headers: headers(id) }),
  }
}

async function linesOf(client: NodeClient, instance: string): Promise<string> {
  const { body } = await client.raw('instanceLogs', { params: { instance }, query: { tail: 1_000 } })
  return (await body.setEncoding('utf8').toArray()).join('')
}

/** Names of the node's containers, each with the instance that its label names. */
const containersOf = async (node: string): Promise<string[]> =>
  (
    await docker(
      'ps',
      '--filter',
      `label=shadow.node=${node}`,
      '--filter',
      'label=shadow.app',
      '--format',
      '{{.Names}} {{.Label "shadow.instance"}}',
    )
  )
    .split('\n')
    .filter(Boolean)
    .toSorted()

test('two instances of one app on a node have each a container, a log, holds and a sleep of their own', async () => {
  await using shadow = await Shadow.start()
  await shadow.register('blog', { sleep: { idleAfter: '30s', grace: '2s' } })
  const phase = async (instance: string) =>
    (await (await nodeOf(shadow)).client.call('getInstance', { params: { instance } })).phase
  const { client, ask, begin } = await nodeOf(shadow)

  const first = (await shadow.ask('blog')).json.boot.id
  const other = (await ask(second)).json.boot.id
  assert.notEqual(first, other)
  assert.deepEqual([(await ask(plain)).json.boot.id, (await ask(second)).json.boot.id], [first, other])
  assert.deepEqual(await containersOf(shadow.node), [
    `shadow-${shadow.node}-blog blog`,
    `shadow-${shadow.node}-blog.b blog.b`,
  ])
  assert.deepEqual(
    (await client.call('listInstances', {})).items.map(({ app, instance }) => `${app}/${instance}`).toSorted(),
    ['blog/blog', 'blog/blog.b'],
  )

  await shadow.eventually(async () => (await linesOf(client, second)).includes(`booted ${other}`))
  await shadow.eventually(async () => (await linesOf(client, plain)).includes(`booted ${first}`))
  assert.ok(!(await linesOf(client, second)).includes(first))
  assert.ok(!(await linesOf(client, plain)).includes(other))

  const asking = begin(second, '/later')
  await shadow.eventually(
    async () => (await client.call('getInstance', { params: { instance: second } })).holds.length > 0,
  )
  await shadow.pass(40_000)
  await shadow.until('blog', 'asleep')
  assert.equal(await phase(second), 'awake')
  await ask(second, '/later/now')
  assert.equal((await asking.response).statusCode, 200)

  // After a restart, the node adopts both containers, each for its own instance.
  assert.notEqual((await shadow.ask('blog')).json.boot.id, first)
  const before = await containersOf(shadow.node)
  await shadow.stop()
  await shadow.startAgain()
  assert.deepEqual(
    [await phase(plain), await phase(second), await containersOf(shadow.node)],
    ['awake', 'awake', before],
  )
  const again = await nodeOf(shadow)
  assert.equal((await again.ask(second)).json.boot.id, other)

  await again.client.call('sleepInstance', { params: { instance: second } })
  assert.deepEqual([await phase(plain), await phase(second)], ['awake', 'asleep'])
  await again.client.call('forgetInstance', { params: { instance: second } })
  assert.equal(await linesOf(again.client, second), '')
  assert.deepEqual(
    (await again.client.call('listInstances', {})).items.map(({ instance }) => instance),
    ['blog'],
  )

  await again.client.call('wakeInstance', { params: { instance: second } })
  await shadow.admin.call('removeApp', { params: { app: 'blog' } })
  await shadow.eventually(async () => (await containersOf(shadow.node)).length === 0)
})

test('a second instance of an app with a volume is refused, and the first one keeps the volume', async () => {
  await using shadow = await Shadow.start()
  await shadow.register('blog', { volume: { size: '16MiB' } })
  const { client, ask } = await nodeOf(shadow)
  await shadow.ask('blog', '/files/note', { method: 'PUT', body: 'kept' })
  await assert.rejects(
    client.call('wakeInstance', { params: { instance: second } }),
    isCode('volume-in-use', /^blog\.b has no right to the volume blog/),
  )
  const refused = await ask(second)
  assert.deepEqual([refused.status, refused.json.code], [409, 'volume-in-use'])
  assert.equal((await shadow.ask('blog', '/files/note')).text, 'kept')
  assert.deepEqual(await containersOf(shadow.node), [`shadow-${shadow.node}-blog blog`])
})
