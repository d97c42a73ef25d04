import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isSigned, webhookReceiver, withStatus } from '../../src/testing/webhook-receiver.ts'
import { Shadow } from '../tools/shadow.ts'

test('a webhook is told of an app that crashes, and of no other, until it is removed', async () => {
  await using receiver = await webhookReceiver()
  await using shadow = await Shadow.start()
  const { secret } = await shadow.admin.call('addWebhook', {
    body: { name: 'ops', url: receiver.url, events: ['crash'], apps: ['blog'] },
  })
  receiver.answers.push(withStatus(418))
  const refused = await shadow.admin.call('testWebhook', { params: { webhook: 'ops' } })
  assert.deepEqual([refused.taken, refused.status, refused.says], [false, 418, 'said'])
  assert.deepEqual([receiver.got[0]?.notice.kind, receiver.got.length], ['test', 1])

  for (const app of ['shop', 'blog']) {
    await shadow.register(app)
    assert.equal((await shadow.ask(app, '/die?code=3')).json.code, 'app-crashed')
  }
  await receiver.came(2)
  const [, got] = receiver.got
  assert(got !== undefined)
  assert(isSigned(got.headers, got.body, secret))
  const { kind, app, node, subject, detail, code } = got.notice
  assert.deepEqual([kind, app, node, subject, code], ['crash', 'blog', shadow.node, 'blog crashed', 'app-crashed'])
  assert.match(detail, /exit code 3/)
  await shadow.eventually(async () => {
    const [ops] = (await shadow.admin.call('listWebhooks', {})).items
    return ops?.waiting === 0 && ops.lastSuccess !== null
  })
  await shadow.admin.call('removeWebhook', { params: { webhook: 'ops' } })
  assert.deepEqual((await shadow.admin.call('listWebhooks', {})).items, [])
})
