import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { freePort } from '../../src/testing/free-port.ts'
import { openDashboard } from '../tools/dashboard.ts'
import { hasProgram } from '../tools/programs.ts'
import { Shadow } from '../tools/shadow.ts'

const LONG = 'n'.repeat(63)
const HOUR_MS = 3_600_000

describe.skipIf(!(await hasProgram('chromium')))('the list of apps (skipped where chromium is missing)', () => {
  test('shows each app as it is, live; it is searched, filtered, sorted and walked by keyboard, and wakes nothing', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { sleep: { idleAfter: '10m' } })
    await shadow.register('shop')
    await shadow.register(LONG, { domains: ['long.localhost'] })
    await using dashboard = await openDashboard(shadow)
    const { page } = dashboard
    const row = (app: string) =>
      page.getByRole('row').filter({ has: page.getByRole('link', { name: app, exact: true }) })
    for (const app of ['blog', 'shop', LONG]) await row(app).getByText('asleep', { exact: true }).waitFor()
    await dashboard.mustBeFineEverywhere()
    assert.deepEqual(await shadow.containers('blog'), [])

    await shadow.ask('blog')
    await row('blog').getByText('awake', { exact: true }).waitFor()
    await row('blog')
      .getByText(/Sleeps in (9:|10:)/)
      .waitFor()
    await page.getByRole('button', { name: /^Awake 1$/ }).click()
    await row('shop').waitFor({ state: 'detached' })
    await row('blog').getByRole('button', { name: 'Sleep blog' }).click()
    await page.getByText('blog sleeps').waitFor()
    await page.getByText('No app matches').waitFor()
    await page.getByRole('link', { name: 'Show all apps' }).click()
    await row('blog').getByText('asleep', { exact: true }).waitFor()

    await shadow.admin.call('sleepApp', { params: { app: 'blog' }, query: { to: 'parked' } })
    await row('blog').getByText('parked', { exact: true }).waitFor()
    await row('blog')
      .getByText(/A container waits for its next wake/)
      .waitFor()
    await page.getByRole('button', { name: /^Parked 1$/ }).click()
    await row('shop').waitFor({ state: 'detached' })
    await row('blog').waitFor()
    await dashboard.mustBeAccessible()
    await page.getByRole('button', { name: /^All 3$/ }).click()
    await row('shop').waitFor()

    await page.getByRole('searchbox', { name: 'Search apps' }).fill('SHO')
    await row('blog').waitFor({ state: 'detached' })
    assert.equal(new URL(page.url()).searchParams.get('search'), 'SHO')
    await page.getByRole('searchbox', { name: 'Search apps' }).fill('')
    await row('blog').waitFor()
    await page.getByRole('button', { name: /^App/ }).click()
    await page.getByRole('columnheader', { name: /App/ }).and(page.locator('[aria-sort=descending]')).waitFor()
    await page.locator('.virtual-row').first().getByRole('link', { name: 'shop', exact: true }).waitFor()

    await page.keyboard.press('Control+k')
    await page.getByRole('combobox', { name: 'Name of an app or a page' }).fill('sho')
    await page.getByRole('option', { name: /^shop/ }).waitFor()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'shop' }).waitFor()
    assert.equal((await shadow.instance('shop')).phase, 'asleep')
    assert.deepEqual(dashboard.faults, [])
  })

  test('a token that is revoked ends the session of an open page, which says so; an expired session too', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('ann-blog')
    await shadow.register('bob-blog')
    const body = { name: 'ann', role: 'owner' as const, apps: ['ann-*'] }
    const { id, token } = await shadow.admin.call('createToken', { body })
    await using dashboard = await openDashboard(shadow)
    const { page } = dashboard
    const signInAs = async (secret: string): Promise<void> => {
      await page.getByLabel('Token').fill(secret)
      await page.getByRole('button', { name: 'Sign in', exact: true }).click()
      await page.getByRole('heading', { level: 1, name: 'Apps' }).waitFor()
    }
    await page.getByRole('button', { name: /^Sign out/ }).click()
    await page.getByLabel('Token').fill('wrong')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByText('unauthorised').waitFor()
    await signInAs(token)
    await page.getByRole('link', { name: 'ann-blog', exact: true }).waitFor()
    assert.equal(await page.getByRole('link', { name: 'bob-blog', exact: true }).count(), 0)
    assert.equal(await page.getByRole('link', { name: 'Access', exact: true }).count(), 0)
    await shadow.admin.call('removeToken', { params: { token: id } })
    await page.getByText(/revoked/).waitFor()

    await signInAs(shadow.up.adminToken)
    shadow.clock.leap(13 * HOUR_MS)
    await shadow.spoken()
    await page.getByText(/expired/).waitFor()
    await dashboard.mustBeAccessible()
  })

  test('a master that is away is told; once it is back, the page goes on by itself', async () => {
    await using shadow = await Shadow.start({ env: { SHADOW_MASTER_LISTEN: `127.0.0.1:${await freePort()}` } })
    await shadow.register('blog')
    await using dashboard = await openDashboard(shadow)
    const { page } = dashboard
    await page.getByText('asleep', { exact: true }).first().waitFor()
    await shadow.stop()
    await page.getByText('The master does not answer').waitFor()
    await shadow.startAgain()
    await page.getByText('The master does not answer').waitFor({ state: 'detached' })
    await shadow.register('later')
    await page.getByRole('link', { name: 'later', exact: true }).waitFor()
  })
})
