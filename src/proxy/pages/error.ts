import type { FailureCode, ShadowError } from '../../lib/errors.ts'
import { escaped, page } from './page.ts'

/** What a visitor is told. What the app wrote before it crashed is its owner's: that is in `shadow status` and `shadow logs`. */
const WORDS: Partial<Record<FailureCode, { title: string; text: string }>> = {
  'host-unknown': { title: 'Nothing here', text: 'No app has this hostname.' },
  'app-crashed': { title: 'This site cannot start', text: 'It ended before it was ready.' },
  'app-not-ready': { title: 'This site cannot start', text: 'It did not answer in time.' },
  'app-stuck': { title: 'This site is stuck', text: 'It could not be put to sleep properly.' },
  'app-unreachable': { title: 'This site does not answer', text: 'It cut the connection.' },
  'node-unreachable': { title: 'This site is out of reach', text: 'The machine that has it does not answer.' },
  'no-node': { title: 'This site is out of reach', text: 'No machine can take it now.' },
  'not-allowed': { title: 'You may not see this site', text: 'It is not open to your address.' },
  'rate-limited': { title: 'Too many requests', text: 'Try again in a moment.' },
  'queue-full': { title: 'Too many visitors at once', text: 'Try again in a moment.' },
}

/** The page for a browser whose request failed. */
export function errorPage(error: ShadowError): string {
  const { title, text } = WORDS[error.code] ?? { title: 'This site does not work now', text: 'Try again later.' }
  return page({
    title,
    body: `<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
<p><small>${error.status} · ${error.code}</small></p>`,
  })
}
