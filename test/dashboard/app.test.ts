import assert from 'node:assert/strict'
import type { Page } from 'playwright-core'
import { describe, test } from 'vitest'
import { openDashboard } from '../tools/dashboard.ts'
import { hasProgram } from '../tools/programs.ts'
import { Shadow } from '../tools/shadow.ts'

/** What an app may write to harm whoever reads it: markup, a title for the terminal, a line that hides another. */
const HOSTILE = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>`
const ESC = '\x1b'

/** A line with HTML and escape codes, a coloured one, and one to the other stream. */
async function writeLines(shadow: Shadow): Promise<void> {
  const write = (line: string, stream = 'stdout') => shadow.ask('blog', `/log?${new URLSearchParams({ line, stream })}`)
  await write(HOSTILE)
  await write(`${ESC}]0;taken${ESC}\\${ESC}[31mred ${ESC}[1mand bold${ESC}[0m plain${ESC}[2J`)
  await write('hidden\rshown')
  await write('a warning', 'stderr')
}

const eventOf = (page: Page, text: string | RegExp) => page.getByRole('listitem').filter({ hasText: text }).first()

describe.skipIf(!(await hasProgram('chromium')))('the page of one app (skipped where chromium is missing)', () => {
  test('shows a wake with its stages, its sleep and a crash, as they happen, and wakes nothing by itself', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { volume: { size: '16MiB' } })
    await using dashboard = await openDashboard(shadow)
    const { page } = dashboard
    await dashboard.go('/apps/blog')
    await eventOf(page, 'Deployed').waitFor()
    await page.getByText('nothing measured').first().waitFor({ state: 'attached' })
    await page.locator('.u-over').first().waitFor()
    assert.equal((await shadow.instance('blog')).phase, 'asleep')
    assert.deepEqual(await shadow.containers('blog'), [])

    await shadow.ask('blog')
    const wake = eventOf(page, /Woken by GET \/ from 127\.0\.0\.1/)
    await wake.waitFor()
    await wake.locator('summary').click()
    const steps = wake.getByRole('table')
    for (const step of [
      'lease of the volume',
      'attach the volume',
      'mount',
      'create the container',
      'start the container',
    ])
      await steps.getByRole('rowheader', { name: step, exact: true }).waitFor()
    assert.match((await steps.getByRole('row', { name: /wait until the app is ready/ }).textContent()) ?? '', /\d m?s/)

    await page.getByRole('button', { name: 'Put to sleep' }).click()
    await eventOf(page, 'Slept: somebody asked for it').waitFor()
    await page.getByRole('button', { name: 'Wake now' }).click()
    await page.getByRole('button', { name: 'Put to sleep' }).waitFor()
    await shadow.ask('blog', '/die?code=3').catch(() => undefined)
    const crash = eventOf(page, /Crashed: .*exit code 3/)
    await crash.waitFor()

    await dashboard.mustBeFineEverywhere()
    await page.getByRole('button', { name: 'Sleeps', exact: true }).click()
    await crash.waitFor({ state: 'detached' })
    assert.equal(new URL(page.url()).searchParams.get('events'), 'sleeps')
    await page.reload()
    await eventOf(page, 'Slept: somebody asked for it').waitFor()
    assert.equal(await page.locator('.event').count(), await page.locator('.event[data-kind=sleep]').count())
    assert.deepEqual(dashboard.faults, [])
  })

  test('an app in use is put to sleep only after it was asked whether to', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    const slow = shadow.ask('blog', '/later')
    await shadow.until('blog', ({ holds }) => holds.length === 1)
    await using dashboard = await openDashboard(shadow)
    const { page } = dashboard
    await dashboard.go('/apps/blog')
    await page.getByText('request GET /later from 127.0.0.1').first().waitFor()
    await page.getByRole('button', { name: 'Put to sleep' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('request GET /later from 127.0.0.1').waitFor()
    await dashboard.mustBeAccessible()
    await dialog.getByRole('button', { name: 'Cancel' }).click()
    await dialog.waitFor({ state: 'detached' })
    assert.equal((await shadow.instance('blog')).phase, 'awake')
    await shadow.ask('blog', '/later/now')
    assert.equal((await slow).text, 'at last\n')
    assert.deepEqual(dashboard.faults, [])
  })

  test('shows the log as text, past and live, searched and filtered, and wakes nothing', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    await writeLines(shadow)
    await shadow.untilLogged('blog', /a warning/)
    await shadow.sleep('blog')
    await using dashboard = await openDashboard(shadow)
    const { page } = dashboard
    await dashboard.go('/apps/blog/logs')
    const log = page.getByRole('region', { name: 'Log of blog' })
    await log.getByText(HOSTILE, { exact: true }).waitFor()
    await log.getByText('hidden\\rshown', { exact: true }).waitFor()
    assert.equal(await log.locator('img, script').count(), 0)
    const red = log.locator('.log-line').filter({ hasText: 'red and bold plain' })
    assert.equal(await red.locator('.fg-1').first().textContent(), 'red ')
    const shown = (await red.textContent()) ?? ''
    for (const hidden of ['taken', ESC, '[2J']) assert.ok(!shown.includes(hidden), shown)
    assert.match(await page.title(), /^blog/)
    assert.equal((await shadow.instance('blog')).phase, 'asleep', 'nobody has woken it')
    await dashboard.mustBeFineEverywhere()

    // Live: a line that is written now appears by itself.
    await shadow.ask('blog', `/log?${new URLSearchParams({ line: 'written just now' })}`)
    await log.getByText('written just now').waitFor()

    await page.getByRole('searchbox', { name: 'Search the log' }).fill('ONERROR="')
    await log.getByText('written just now').waitFor({ state: 'detached' })
    await log.getByText(HOSTILE, { exact: true }).waitFor()
    assert.equal(await log.locator('.log-line').count(), 1)
    await page.getByRole('button', { name: 'Pattern' }).click()
    await page.getByRole('searchbox', { name: 'Search the log' }).fill('^a (warning|error)$')
    await log.getByText('a warning').waitFor()
    assert.equal(new URL(page.url()).searchParams.get('pattern'), '1')
    await page.getByRole('searchbox', { name: 'Search the log' }).fill('(')
    await page
      .getByRole('alert')
      .getByText(/regular expression/)
      .first()
      .waitFor()

    await dashboard.go('/apps/blog/logs?streams=stderr')
    await log.getByText('a warning').waitFor()
    assert.equal(await log.getByText('written just now').isVisible(), false)
    const download = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Download' }).click()
    const file = await (await download).createReadStream()
    const text = Buffer.concat(await Array.fromAsync(file)).toString()
    assert.match(text, /^\S+ stderr a warning\n$/)
    // Chromium complains of the answer to the pattern that is none.
    assert.deepEqual(
      dashboard.faults.filter(fault => !/status of 400/.test(fault)),
      [],
    )
  })
})
