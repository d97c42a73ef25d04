import assert from 'node:assert/strict'
import { afterEach, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { NOTHING_USED } from '../../model/usage.ts'
import { HandClock } from '../../testing/clock.ts'
import { TEST_SECRETS_KEY, type TestMaster, testMaster } from '../../testing/masters.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'

let on: TestMaster
const clock = new HandClock(Date.parse('2027-01-15T08:00:00Z'))
afterEach(() => on[Symbol.asyncDispose]())

async function master(): Promise<void> {
  const settings = { SHADOW_SECRETS_KEY: TEST_SECRETS_KEY, SHADOW_PRICES: 'currency=EUR,million-requests=1000' }
  on = await testMaster(memoryStorage(), clock, settings)
  for (const name of ['ann-blog', 'ann-shop', 'bob-blog'])
    await on.admin.call('registerApp', { body: { name, image: 'x' } })
  await on.admin.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['ann-*'] } })
}

/** Has a node report requests. */
async function report(app: string, requests: number): Promise<void> {
  const used = { ...NOTHING_USED, requests }
  const body = { counter: '7d444840-9dc0-11d1-b245-5ffdce74fad2', apps: [{ day: '2027-01-15', app, used }] }
  await (await on.as('node')).call('reportUsage', { params: { node: 'n1' }, body })
  // The comparison goes on behind the report; this one waits for its turn.
  await on.admin.call('setBudget', { params: { kind: 'app', name: 'nobody' }, body: { requests: 1 } })
}

const budgetOf = async (app: string) => (await on.admin.call('getApp', { params: { app } })).budget
const set = (kind: 'app' | 'owner', name: string, body: object) =>
  on.admin.call('setBudget', { params: { kind, name }, body })

test('an app is said to have nearly spent its budget, then to have spent it, until the month is over', async () => {
  await master()
  await set('app', 'ann-blog', { requests: 100 })
  await report('ann-blog', 79)
  assert.equal(await budgetOf('ann-blog'), undefined)
  await report('ann-blog', 80)
  const near = await budgetOf('ann-blog')
  assert.deepEqual([near?.state, near?.until], ['near', '2027-02-01T00:00:00.000Z'])
  assert.match(near?.why ?? '', /the budget of the app for 2027-01: 80 of 100 requests/)
  await report('ann-blog', 100)
  assert.equal((await budgetOf('ann-blog'))?.state, 'spent')
  assert.equal(await budgetOf('ann-shop'), undefined)
})

test('the budget of an owner is for all of its apps, also for one that has used nothing', async () => {
  await master()
  await set('owner', 'ann', { requests: 100 })
  await report('ann-blog', 100)
  for (const app of ['ann-blog', 'ann-shop']) {
    const budget = await budgetOf(app)
    assert.equal(budget?.state, 'spent')
    assert.match(budget?.why ?? '', /of the owner ann/)
  }
  assert.equal(await budgetOf('bob-blog'), undefined)
})

test('a budget that is raised or removed lets its apps be woken', async () => {
  await master()
  await set('app', 'ann-blog', { requests: 10 })
  await report('ann-blog', 10)
  assert.equal((await budgetOf('ann-blog'))?.state, 'spent')
  await set('app', 'ann-blog', { requests: 12 })
  assert.equal((await budgetOf('ann-blog'))?.state, 'near')
  await on.admin.call('removeBudget', { params: { kind: 'app', name: 'ann-blog' } })
  assert.equal(await budgetOf('ann-blog'), undefined)
  const again = on.admin.call('removeBudget', { params: { kind: 'app', name: 'ann-blog' } })
  await assert.rejects(again, error => isFailure(error, 'not-found'))
})

test('a budget may be money, by the prices of the masters; usage tells the cost', async () => {
  await master()
  await set('app', 'ann-blog', { cost: 0.2 })
  await report('ann-blog', 200)
  const budget = await budgetOf('ann-blog')
  assert.deepEqual([budget?.state, /0\.20 of 0\.2 EUR/.test(budget?.why ?? '')], ['spent', true])
  const { items, currency } = await on.admin.call('getUsage', { query: { app: 'ann-blog' } })
  assert.deepEqual([items[0]?.cost, items[0]?.alwaysOnCost, currency], [0.2, 0.2, 'EUR'])
})

test('an owner sees its budgets, and changes none', async () => {
  await master()
  await set('owner', 'ann', { requests: 100 })
  await set('app', 'ann-blog', { requests: 100 })
  await set('app', 'bob-blog', { requests: 100 })
  const { token } = await on.admin.call('createToken', { body: { name: 'ann', role: 'owner', apps: ['ann-*'] } })
  const ann = on.client(token)
  const { items } = await ann.call('listBudgets', {})
  assert.deepEqual(
    items.map(({ kind, name }) => `${kind} ${name}`),
    ['app ann-blog', 'owner ann'],
  )
  const raise = ann.call('setBudget', { params: { kind: 'app', name: 'ann-blog' }, body: { requests: 1_000 } })
  await assert.rejects(raise, error => isFailure(error, 'forbidden'))
})

test('a release and other changes of an app leave what its budget says', async () => {
  await master()
  await set('app', 'ann-blog', { requests: 1 })
  await report('ann-blog', 1)
  await on.admin.call('updateApp', { params: { app: 'ann-blog' }, body: { env: { A: 'b' } } })
  await on.admin.call('setAccess', { params: { app: 'ann-blog' }, body: { allow: [], deny: [] } })
  assert.equal((await budgetOf('ann-blog'))?.state, 'spent')
})
