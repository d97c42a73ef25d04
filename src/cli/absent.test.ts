import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { FAKE_TOKEN, fakeMaster } from '../testing/fake-master.ts'
import { FakeTerminal } from '../testing/fake-terminal.ts'
import { run } from './run.ts'

const app = {
  name: 'blog',
  domains: ['www.dom.example.com', 'xn--bcher-kva.example', 'blog.localhost'],
  access: { allow: ['10.0.0.0/8'], deny: [] },
  task: { revision: 2 },
}

async function shadow(line: string) {
  await using master = await fakeMaster({
    getApp: () => app,
    setAccess: ({ body }) => ({ ...app, access: body }),
    updateApp: ({ query, body }) => {
      if (query['strict'] === 'true' && JSON.stringify(body).includes('null'))
        throw new ShadowError('not-found', 'nothing was changed', {
          faults: [{ field: 'env.NOPE', message: 'no NOPE' }],
        })
      return app
    },
  })
  const terminal = new FakeTerminal({ env: { SHADOW_URL: master.url, SHADOW_TOKEN: FAKE_TOKEN } })
  const exit = await run(line.split(' '), terminal)
  const changes = master.calls.filter(({ name }) => name !== 'getApp')
  return { exit, terminal, changes }
}

for (const given of ['WWW.Dom.Example.com.', 'Bücher.example', 'blog.localhost'])
  test(`--remove-domain ${given} removes it, however it is written`, async () => {
    const { exit, changes, terminal } = await shadow(`update blog --remove-domain ${given}`)
    assert.equal(exit, 0, terminal.stderr)
    assert.equal((changes[0] as { body: typeof app }).body.domains.length, 2)
  })

test('domains that are not there are an error that names each, and nothing is changed', async () => {
  const { exit, terminal, changes } = await shadow(
    'update blog --remove-domain a.test --remove-domain B.test. --add-domain c.test',
  )
  assert.deepEqual([exit, changes.length], [3, 0])
  for (const domain of ['a.test', 'b.test']) assert.match(terminal.stderr, new RegExp(`--remove-domain: .*${domain}`))
})

test('a domain to remove that is no hostname is a fault of its flag', async () => {
  const { exit, terminal, changes } = await shadow('update blog --remove-domain http://a.test/')
  assert.deepEqual([exit, changes.length], [2, 0])
  assert.match(terminal.stderr, /--remove-domain: domain "http:\/\/a\.test\/"/)
})

test('--unset-env of what is not there is an error, in JSON too', async () => {
  const { exit, terminal } = await shadow('update blog --unset-env NOPE')
  assert.equal(exit, 3)
  assert.match(terminal.stderr, /env\.NOPE: no NOPE/)
  const { exit: code, terminal: json } = await shadow('update blog --unset-env NOPE --json')
  assert.deepEqual([code, JSON.parse(json.stderr).code], [3, 'not-found'])
})

test('access --forget of what is not there is an error, and nothing is changed', async () => {
  for (const flags of ['--forget 192.0.2.1', '--forget 10.0.0.0/8 --forget 192.0.2.1', '--clear --forget 192.0.2.1']) {
    const { exit, terminal, changes } = await shadow(`access blog ${flags}`)
    assert.deepEqual([exit, changes.length], [3, 0], flags)
    assert.match(terminal.stderr, /--forget: .*192\.0\.2\.1/)
  }
  assert.equal((await shadow('access blog --forget 10.0.0.0/8')).exit, 0)
})
