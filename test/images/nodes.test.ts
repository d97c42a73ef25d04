import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { masterClient } from '../../src/api/client.ts'
import { isFailure } from '../../src/lib/errors.ts'
import { RegistryClient } from '../tools/registry-client.ts'
import { Shadow } from '../tools/shadow.ts'

const SERVES = 'CMD ["httpd", "-f", "-p", "8000", "-h", "/srv"]'
const page = (text: string): readonly string[] => [`RUN mkdir -p /srv && echo ${text} > /srv/index.html`, SERVES]
const sleeps = { sleep: { idleAfter: '5m', grace: '1s' } } as const
/** What the names of this test's images begin with. */
const OWN = 'nodes-test-'
let shadow: Shadow
let client: RegistryClient
let host: string
beforeAll(async () => {
  shadow = await Shadow.start()
  client = await RegistryClient.open()
  host = new URL(shadow.up.masterUrl).host
  await client.login(host, shadow.up.adminToken)
})
afterAll(async () => {
  await shadow?.[Symbol.asyncDispose]()
  await client?.[Symbol.asyncDispose]()
  await removeStored()
})

/** Pushes a page as an image, and removes it from this machine. */
async function push(name: string, text: string): Promise<void> {
  await client.build(`${host}/${name}`, ...page(text))
  await client.docker('push', `${host}/${name}`)
  await client.forget()
}

/** Removes what the node has pulled of this test's images. */
async function removeStored(): Promise<void> {
  const run = promisify(execFile)
  const { stdout } = await run('docker', ['images', '--format', '{{.Repository}}:{{.Tag}}'])
  const names = stdout.split('\n').filter(name => name.startsWith(`master.shadow/${OWN}`))
  if (names.length > 0) await run('docker', ['rmi', '--force', ...names])
}

test('an app runs an image that was pushed to the master, under the name that it was pushed by', async () => {
  await push(`${OWN}blog:3`, 'one')
  const { task } = await shadow.register('blog', {
    image: `${host.replace('127.0.0.1', 'localhost')}/${OWN}blog:3`,
    ...sleeps,
  })
  assert.equal(task.image, `master.shadow/${OWN}blog:3`)
  assert.match(task.pinned?.digest ?? '', /^sha256:/)
  assert.equal((await shadow.ask('blog')).text, 'one\n')

  await push(`${OWN}blog:3`, 'two')
  await shadow.sleep('blog')
  await removeStored()
  assert.equal((await shadow.ask('blog')).text, 'one\n') // the content of its revision, pulled again

  const image = `master.shadow/${OWN}blog:3`
  const updated = await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { image } })
  assert.equal(updated.task.revision, 2)
  await shadow.eventually(async () => (await shadow.ask('blog')).text === 'two\n')
  const same = await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { image } })
  assert.equal(same.task.revision, 2)
})

test('another app may run the same image, and an image that was never pushed is refused at once', async () => {
  await push(`${OWN}shop/web:1`, 'shop')
  await shadow.register('copy', { image: `master.shadow/${OWN}shop/web:1`, ...sleeps })
  assert.equal((await shadow.ask('copy')).text, 'shop\n')
  const missing = shadow.register('none', { image: 'master.shadow/none:1', ...sleeps })
  await assert.rejects(
    missing,
    error => isFailure(error, 'image-not-found') && /none:1 is not in the image/.test(error.message),
  )
})

test('a node reads no image but those of its apps, and no push with its token', async () => {
  await push(`${OWN}secret:1`, 'secret')
  const { task } = await shadow.register('secret', { image: `master.shadow/${OWN}secret:1`, ...sleeps })
  const { token } = await shadow.admin.call('createToken', { body: { name: 'other', role: 'node' } })
  const node = masterClient({ url: shadow.up.masterUrl, token, withinMs: 10_000 })
  const digest = task.pinned?.digest ?? ''
  const read = node.raw('readImage', { params: { part: digest }, query: { repository: `${OWN}secret`, image: digest } })
  await assert.rejects(read, error => isFailure(error, 'forbidden'))
  const asked = await fetch(`${shadow.up.masterUrl}/v2/${OWN}secret/manifests/1`, {
    headers: { authorization: `Bearer ${token}` },
  })
  assert.equal(asked.status, 403)
  await assert.rejects(node.call('getApp', { params: { app: 'secret' } }), error => isFailure(error, 'forbidden'))
  const asAdmin = await shadow.admin.call('getApp', { params: { app: 'secret' } })
  assert.equal(asAdmin.task.pinned?.permit, undefined)
})
