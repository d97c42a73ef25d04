import assert from 'node:assert/strict'
import { afterAll, beforeAll, test } from 'vitest'
import { isCode, Shadow } from '../tools/shadow.ts'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow[Symbol.asyncDispose]())

const ask = async (app: string, count: number): Promise<void> => {
  for (let sent = 0; sent < count; sent++) assert.equal((await shadow.ask(app, '/status?code=200')).status, 200)
}
const getApp = (app: string) => shadow.admin.call('getApp', { params: { app } })

/** Lets minutes pass until the app says that its budget is in this state. */
const untilBudget = (app: string, state: 'near' | 'spent'): Promise<void> =>
  shadow.eventually(async () => {
    await shadow.pass(20_000)
    return (await getApp(app)).budget?.state === state
  })

test('an app warns when its budget is nearly spent, then sleeps until the next month, and says so everywhere', async () => {
  await shadow.register('blog', { sleep: { idleAfter: 'never' } })
  await shadow.register('other', { sleep: { idleAfter: 'never' } })
  await shadow.admin.call('setBudget', { params: { kind: 'app', name: 'blog' }, body: { requests: 10 } })
  await ask('blog', 9)
  await ask('other', 20)
  await untilBudget('blog', 'near')
  await shadow.untilLogged('blog', /nearly spent is the budget of the app for [\d-]+: 9 of 10 requests/)
  assert.equal((await shadow.instance('blog')).phase, 'awake', 'it serves on')

  await ask('blog', 1)
  await untilBudget('blog', 'spent')
  const { stoppedBy } = await shadow.until('blog', 'asleep')
  assert.equal(stoppedBy, 'budget')
  assert.deepEqual(await shadow.containers('blog'), [])
  await shadow.untilLogged('blog', /spent is the budget of the app for [\d-]+: 10 of 10 requests/)

  const refused = async (): Promise<void> => {
    const { status, headers } = await shadow.ask('blog', '/')
    assert.deepEqual([status, headers['x-shadow-error']], [503, 'budget-spent'])
    assert.ok(Number(headers['retry-after']) > 0)
  }
  await refused()
  const page = await shadow.ask('blog', '/', { headers: { accept: 'text/html' } })
  assert.match(page.text, /This site sleeps for now/)
  await assert.rejects(shadow.wake('blog'), isCode('budget-spent', /10 of 10 requests/))
  await ask('other', 1)

  // The node knows it from what it keeps.
  await shadow.stop()
  await shadow.startAgain()
  await refused()
  assert.equal((await shadow.instance('blog')).phase, 'asleep')

  // The next month begins.
  shadow.clock.setWall(32 * 86_400_000)
  await ask('blog', 1)
})
