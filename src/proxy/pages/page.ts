import { createHash } from 'node:crypto'

/** One of our own pages, with the headers that it comes with. */
export type Page = { readonly body: string; readonly headers: Readonly<Record<string, string>> }

const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { display: grid; place-items: center; min-height: 90vh; margin: 0 1rem; text-align: center }
h1 { font-size: 1.25rem; font-weight: 600 }
p { margin: .5rem 0; opacity: .75 }
.dots::after { content: "…"; animation: blink 1.2s steps(2) infinite }
@keyframes blink { 50% { opacity: .2 } }
@media (prefers-reduced-motion: reduce) { .dots::after { animation: none } }
`

/**
 * Makes a small page that loads nothing, for light and dark mode, with and without scripts. Its Content-Security-Policy (level 3) allows its
 * own style and script, by their hashes, and connections to its own origin. It does not forbid frames, since sites show apps in frames.
 */
export function page({ title, body, script = '' }: { title: string; body: string; script?: string }): Page {
  return {
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': policyOf(script),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'same-origin',
    },
    body: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
<main>${body}</main>${script === '' ? '' : `\n<script>${script}</script>`}
</html>
`,
  }
}

/** A script that follows a wake at `eventsPath`, and opens the app when it has ended. */
export const followScript = (eventsPath: string): string => `
const events = new EventSource(${JSON.stringify(eventsPath)})
events.onmessage = event => {
  const { phase } = JSON.parse(event.data)
  if (phase === 'waking' || phase === 'stopping') return
  events.close()
  location.reload()
}
events.onerror = () => { if (events.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 2000) }
`

/** The text as it may stand in HTML. */
export const escaped = (text: string): string => text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)

/** The hash of a style or script, as Content-Security-Policy has it. */
const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
const policyOf = policiesOn(`default-src 'none'; base-uri 'none'; form-action 'none'; style-src ${hashOf(STYLE)}`)

/** A function that gives the Content-Security-Policy of a page with this script, which may ask its own site: the base and what the script needs. */
export function policiesOn(base: string): (script: string) => string {
  const policies = new Map<string, string>() // as many as there are scripts of ours: one
  return script => {
    let policy = policies.get(script)
    if (policy === undefined) {
      policy = script === '' ? base : `${base}; script-src ${hashOf(script)}; connect-src 'self'`
      policies.set(script, policy)
    }
    return policy
  }
}
