import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { browser } from '../tools/browser.ts'
import { hasProgram } from '../tools/programs.ts'
import { Shadow, WAITS } from '../tools/shadow.ts'

// Over plain HTTP, browsers send no Sec-Fetch-* to this hostname, because they do not trust it.
const HOST = 'blog.example.test'
const NOBODYS = 'nobody.example.test'

describe.skipIf(!(await hasProgram('chromium')))(
  'a browser over plain HTTP (skipped where chromium is missing)',
  () => {
    test('sees the waiting page, which opens the app by itself when that is awake', async () => {
      await using shadow = await Shadow.start()
      await shadow.register('blog', { ...WAITS, domains: [HOST] })
      await using visitor = await browser([HOST])
      const page = await visitor.open()
      const complaints: string[] = []
      page.on('console', message => message.type() === 'error' && complaints.push(message.text()))
      const answer = await page.goto(`http://${HOST}:${shadow.port}/env`)
      assert.deepEqual([answer?.status(), await page.title()], [503, 'Waking up'])
      assert.equal(await page.locator('h1').textContent(), 'Waking up')
      assert.equal(await page.locator('.name').textContent(), 'blog')
      // The container runs, and opens its port only when it may.
      await page.getByText('Waiting for its first answer').waitFor()
      assert.match((await page.locator('.seconds').textContent()) ?? '', /^\d+ s$/)
      assert.equal(await page.locator('[aria-current=step]').textContent(), 'First answer')
      const reloaded = page.waitForResponse(response => response.url().endsWith('/env') && response.status() === 200)
      await shadow.letGo('blog')
      await reloaded
      // `waitForFunction` would evaluate text in the page, which the policy of the waiting page forbids.
      await page.getByText('LISTEN_WHEN').waitFor()
      assert.deepEqual(
        complaints.filter(text => /Content Security Policy|Refused/i.test(text)),
        [],
        'the page keeps its own policy',
      )
    })

    test("sees the app's own waiting page, whose scripts do not run, and which opens the app all the same; then its error page", async () => {
      await using shadow = await Shadow.start()
      await shadow.register('blog', { ...WAITS, domains: [HOST] })
      const html = (kind: string): string =>
        `<!doctype html><title>${kind} {{app}}</title><style>h1 { color: rgb(1, 2, 3) }</style><h1>{{title}}</h1><p>{{code}}</p><p data-shadow="stage"></p><script>document.title = 'taken over'</script>`
      const pages = { waiting: html('wait'), error: html('oh') }
      await shadow.admin.call('setPages', { params: { app: 'blog' }, body: pages })
      await using visitor = await browser([HOST, NOBODYS])
      const page = await visitor.open()
      const answer = await page.goto(`http://${HOST}:${shadow.port}/env`)
      assert.deepEqual([answer?.status(), await page.title()], [503, 'wait blog'])
      assert.equal(await page.locator('h1').textContent(), 'Waking up')
      await page.getByText('app-waking').waitFor()
      await page.getByText('Waiting for its first answer').waitFor()
      await shadow.letGo('blog')
      await page.getByText('LISTEN_WHEN').waitFor()
      await shadow.sleep('blog')
      await shadow.register('shop', {
        domains: [NOBODYS, 'shop.localhost'],
        command: ['node', '-e', 'process.exit(3)'],
        pages,
      })
      // It crashes before the waiting page is due, or after it: either way the error page is what stays.
      await page.goto(`http://${NOBODYS}:${shadow.port}/`)
      await page.getByText('app-crashed').waitFor()
      assert.equal(await page.title(), 'oh shop')
      const { status, json } = await shadow.ask('shop')
      assert.deepEqual([status, json.code], [502, 'app-crashed'], 'a program gets no page')
    })

    test('sees an error as a page, in its own style', async () => {
      await using shadow = await Shadow.start()
      await using visitor = await browser([NOBODYS])
      const page = await visitor.open()
      const answer = await page.goto(`http://${NOBODYS}:${shadow.port}/`)
      assert.deepEqual([answer?.status(), await page.locator('h1').textContent()], [404, 'Nothing here'])
      assert.equal(await page.evaluate("getComputedStyle(document.querySelector('h1')).fontWeight"), '650')
    })

    test('its scripts are held until the app is awake', async () => {
      await using shadow = await Shadow.start()
      await shadow.register('blog', { domains: [HOST] })
      await using visitor = await browser([HOST])
      const page = await visitor.open()
      await page.goto(`http://${HOST}:${shadow.port}/env`)
      await page.getByText('PORT').waitFor()
      await shadow.sleep('blog')
      assert.equal(await page.evaluate("fetch('/env').then(answer => answer.status)"), 200)
    })
  },
)
