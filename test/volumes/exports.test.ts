import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, test } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { Shadow } from '../tools/shadow.ts'

let here: Shadow
let there: Shadow
beforeAll(async () => {
  here = await Shadow.start()
  there = await Shadow.start({ env: { SHADOW_APPS_DOMAIN: 'elsewhere.localhost' } })
})
afterAll(async () => {
  await here?.[Symbol.asyncDispose]()
  await there?.[Symbol.asyncDispose]()
})

async function shadow(at: Shadow, line: string, stdin?: Buffer) {
  const env = { SHADOW_URL: at.up.masterUrl, SHADOW_TOKEN: at.up.adminToken, SHADOW_PASSPHRASE: 'of the journeys' }
  const terminal = new FakeTerminal({ env, now: Date.now(), ...(stdin && { stdin: Readable.from([stdin]) }) })
  const exit = await run(line.split(' '), terminal)
  assert.equal(exit, 0, terminal.stderr)
  return Buffer.concat(terminal.bytes)
}

test('an app in use is exported from one Shadow and imported into another: its data and its secrets are equal, and no request is lost', async () => {
  const large = randomBytes(24_000_000)
  await here.register('blog', { volume: { size: '64MiB' }, env: { SECRET: 'kept' } })
  const put = (name: string, body: Buffer | string) => here.ask('blog', `/files/${name}`, { method: 'PUT', body })
  assert.equal((await put('large', large)).status, 200)

  const stopped = new AbortController()
  const answers = new Set<string>()
  let acknowledged = -1
  const asking = (async () => {
    for (let n = 0; !stopped.signal.aborted; n++) {
      const { status, text } = await put('counter', String(n))
      answers.add(status === 200 ? '200' : `${status} ${text}`)
      if (status === 200) acknowledged = n
      await wait(5)
    }
  })()
  const before = acknowledged
  const archive = await shadow(here, 'export blog')
  stopped.abort()
  await asking
  assert.deepEqual([...answers], ['200'])
  assert.equal((await here.ask('blog', '/files/counter')).text, String(acknowledged))
  const left = await readdir(`${here.data}/volumes/blog`)
  assert.deepEqual(
    left.filter(name => name.startsWith('exporting')),
    [],
  )

  await shadow(there, 'import', archive)
  const made = await there.admin.call('getApp', { params: { app: 'blog' } })
  assert.deepEqual([made.task.env['SECRET'], made.domains], ['kept', ['blog.elsewhere.localhost']])
  const visit = (path: string) => there.ask('blog.elsewhere.localhost', path)
  const copied = await visit('/files/large')
  assert.equal(copied.status, 200, copied.text.slice(0, 500))
  assert.equal(
    createHash('sha256').update(copied.bytes).digest('hex'),
    createHash('sha256').update(large).digest('hex'),
  )
  const counted = Number((await visit('/files/counter')).text)
  assert.ok(counted >= before && counted <= acknowledged, `${before} <= ${counted} <= ${acknowledged}`)

  // The volume is one like any other: it keeps what is written, and is removed with its app.
  const wrote = await there.ask('blog.elsewhere.localhost', '/files/more', { method: 'PUT', body: 'written there' })
  assert.equal(wrote.status, 200)
  await there.sleep('blog')
  assert.equal((await visit('/files/more')).text, 'written there')
  await there.admin.call('removeApp', { params: { app: 'blog' }, query: { withVolume: 'true' } })
  assert.ok(!(await readdir(`${there.data}/volumes`)).includes('blog'))
})
