import type { ShadowError } from '../../lib/errors.ts'
import { escaped, type Page, page } from './page.ts'
import { wordsOf } from './words.ts'

/** The page for a browser whose request failed; the log has the details under the id. */
export function errorPage(error: ShadowError, id: string): Page {
  const { title, text } = wordsOf(error)
  return page({
    title,
    body: `<h1>${escaped(title)}</h1>
<p>${escaped(text)}</p>
<p><small>${error.status} · ${error.code} · ${id}</small></p>`,
  })
}
