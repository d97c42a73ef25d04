import type { ShadowError } from '../../lib/errors.ts'
import { escaped, type Page, page } from './page.ts'
import { wordsOf } from './words.ts'

/** The page for a browser whose request failed; the log has the details under the id. `app`: undefined if no app has the hostname. */
export function errorPage(error: ShadowError, id: string, app?: string): Page {
  const { title, text } = wordsOf(error)
  return page({
    title,
    body: `${app === undefined ? '' : `<p class="name">${escaped(app)}</p>\n`}<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
<p class="fact">${error.status} · ${error.code} · ${id}</p>`,
  })
}
