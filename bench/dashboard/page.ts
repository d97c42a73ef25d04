import type { Page } from 'playwright-core'
import type { MasterClient } from '../../src/api/client.ts'
import type { Browser } from '../../test/tools/browser.ts'

const FIRST_ROW = '[role="rowgroup"] [role="row"] a'
const SHOWN_WITHIN_MS = 30_000

/** A tab of the browser that is signed in at a master. */
export async function signedIn(browser: Browser, { client }: { readonly client: MasterClient }): Promise<Page> {
  const tab = await browser.open()
  await tab.addInitScript(selector => {
    const look = (): void => {
      if (document.querySelector(selector) === null) requestAnimationFrame(look)
      else Object.assign(globalThis, { firstRowMs: performance.now() })
    }
    requestAnimationFrame(look)
  }, FIRST_ROW)
  const { url } = await client.call('createDashboardLink', {})
  await tab.goto(url)
  await tab.waitForSelector(FIRST_ROW, { timeout: SHOWN_WITHIN_MS })
  return tab
}

/** From the start of a navigation to the list until its first row is there. */
export async function firstPaint(tab: Page, url: string): Promise<number> {
  await tab.goto(url)
  const found = await tab.waitForFunction(() => (globalThis as { firstRowMs?: number }).firstRowMs, undefined, {
    timeout: SHOWN_WITHIN_MS,
  })
  return Number(await found.jsonValue())
}
