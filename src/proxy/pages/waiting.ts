import { escaped, followScript, type Page, page, STAGE_WORDS } from './page.ts'

type About = { readonly app: string; readonly eventsPath: string }

/**
 * The page for a browser whose app is being woken: the app's name, the stage and the seconds of the wake, which it follows at `eventsPath`.
 * It opens the app when the wake has ended.
 */
export function waitingPage({ app, eventsPath }: About): Page {
  return page({
    title: 'Waking up',
    body: `<p class="name">${escaped(app)}</p>
<h1>Waking up</h1>
<p>This site was asleep. It opens by itself in a moment.</p>
<ol class="stages" data-shadow="stages"><li>Data</li><li>Start</li><li>First answer</li></ol>
<p class="fact"><span data-shadow="stage" role="status">${STAGE_WORDS.preparing}</span> · <span class="seconds"><span data-shadow="seconds">0</span> s</span></p>
<noscript><meta http-equiv="refresh" content="2"></noscript>`,
    script: followScript(eventsPath),
  })
}
