import { type Page, page } from './page.ts'

/** The page for a browser whose app is being woken: it follows the wake at `eventsPath` and opens the app when it has ended. */
export function waitingPage(eventsPath: string): Page {
  return page({
    title: 'Waking up',
    body: `<h1 role="status" class="dots">Waking up</h1>
<p>This site was asleep. It opens by itself in a moment.</p>
<noscript><meta http-equiv="refresh" content="2"></noscript>`,
    script: `
const events = new EventSource(${JSON.stringify(eventsPath)})
events.onmessage = event => {
  const { phase } = JSON.parse(event.data)
  if (phase === 'waking' || phase === 'stopping') return
  events.close()
  location.reload()
}
events.onerror = () => { if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 2000) }
`,
  })
}
