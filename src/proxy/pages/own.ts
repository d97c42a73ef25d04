import type { ShadowError } from '../../lib/errors.ts'
import { filled, type OwnPages } from '../../model/own-pages.ts'
import { escaped, followScript, type Page, policiesOn } from './page.ts'
import { wordsOf } from './words.ts'

type About = { readonly app: string; readonly error: ShadowError; readonly id: string; readonly eventsPath: string }

/** Failures of the client and refusals keep the front's own page, but for an app that sleeps. */
const LEAST_STATUS = 500

/**
 * The page that the app has for this error; undefined if it has none. Neither its scripts nor anything from elsewhere are let in by the policy: it
 * may have its own styles, and images and fonts within itself. So it cannot read what a visitor has on this hostname.
 */
export function ownPage(pages: OwnPages | undefined, { app, error, id, eventsPath }: About): Page | undefined {
  const isWaiting = error.code === 'app-waking'
  const html = isWaiting
    ? pages?.waiting
    : error.status >= LEAST_STATUS || error.code === 'app-asleep'
      ? pages?.error
      : undefined
  if (html === undefined) return undefined
  const { title, text } = wordsOf(error)
  const values = { app, title, text, status: String(error.status), code: error.code, id }
  const shown = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, escaped(value)]))
  const script = isWaiting ? followScript(eventsPath) : ''
  return {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': policyOf(script),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
    },
    body: `${filled(html, shown as typeof values)}${isWaiting ? `\n<noscript><meta http-equiv="refresh" content="2"></noscript>\n<script>${script}</script>\n` : ''}`,
  }
}

const policyOf = policiesOn(
  "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:",
)
