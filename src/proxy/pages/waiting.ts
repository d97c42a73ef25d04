import { followScript, type Page, page } from './page.ts'

/** The page for a browser whose app is being woken: it follows the wake at `eventsPath` and opens the app when it has ended. */
export function waitingPage(eventsPath: string): Page {
  return page({
    title: 'Waking up',
    body: `<h1 role="status" class="dots">Waking up</h1>
<p>This site was asleep. It opens by itself in a moment.</p>
<noscript><meta http-equiv="refresh" content="2"></noscript>`,
    script: followScript(eventsPath),
  })
}
