import type { Page } from 'playwright-core'
import type { MasterClient } from '../../src/api/client.ts'
import type { Browser } from '../../test/tools/browser.ts'

const FIRST_ROW = '[role="rowgroup"] [role="row"] a'
/** Runs in the page: notes when the first row is there. */
const NOTES_FIRST_ROW = `
  const look = () => {
    if (document.querySelector(${JSON.stringify(FIRST_ROW)}) === null) requestAnimationFrame(look)
    else globalThis.firstRowMs = performance.now()
  }
  requestAnimationFrame(look)`
const SHOWN_WITHIN_MS = 30_000

/** A tab of the browser that is signed in at a master. */
export async function signedIn(browser: Browser, { client }: { readonly client: MasterClient }): Promise<Page> {
  const tab = await browser.open()
  await tab.addInitScript({ content: NOTES_FIRST_ROW })
  const { url } = await client.call('createDashboardLink', {})
  await tab.goto(url)
  await tab.waitForSelector(FIRST_ROW, { timeout: SHOWN_WITHIN_MS })
  return tab
}

/** From the start of a navigation to the list until its first row is there. */
export async function firstPaint(tab: Page, url: string): Promise<number> {
  await tab.goto(url)
  await tab.waitForSelector(FIRST_ROW, { timeout: SHOWN_WITHIN_MS })
  for (;;) {
    const ms: unknown = await tab.evaluate('globalThis.firstRowMs') // noted with the frame that follows
    if (typeof ms === 'number') return ms
  }
}
