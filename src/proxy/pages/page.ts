import { createHash } from 'node:crypto'
import { WAKE_STAGES, type WakeStage } from '../../model/wake-progress.ts'

/** One of our own pages, with the headers that it comes with. */
export type Page = { readonly body: string; readonly headers: Readonly<Record<string, string>> }

const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; --bg: #f6f7f9; --card: #fff; --line: #e1e4ea; --text: #151922; --faint: #565f70; --mark: #4150cf }
@media (prefers-color-scheme: dark) { :root { --bg: #0e1016; --card: #151821; --line: #262b38; --text: #e7eaf1; --faint: #9ba5b7; --mark: #93a5ff } }
body { display: grid; place-items: center; min-height: 100vh; margin: 0; padding: 1rem; box-sizing: border-box; background: var(--bg); color: var(--text) }
main { width: min(26rem, 100%); box-sizing: border-box; padding: 2rem; border: 1px solid var(--line); border-radius: 12px; background: var(--card); overflow-wrap: anywhere }
h1 { margin: 0; font-size: 1.25rem; font-weight: 650; line-height: 1.3 }
p { margin: .5rem 0 0; color: var(--faint) }
.name { margin: 0 0 .25rem; font-size: .875rem; font-weight: 600 }
.fact { font-size: .8125rem }
.stages { display: grid; grid-template-columns: repeat(3, 1fr); gap: 4px; margin: 1.25rem 0 0; padding: 0; list-style: none; font-size: .8125rem; color: var(--faint) }
.stages li { padding-top: .5rem; border-top: 3px solid var(--line) }
.stages .done { border-color: var(--mark) }
.stages .now { border-color: var(--mark); color: var(--text) }
.seconds { font-variant-numeric: tabular-nums }
@media (prefers-reduced-motion: no-preference) { .stages .now { animation: pulse 1s ease-in-out infinite alternate } @keyframes pulse { to { border-color: var(--line) } } }
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

/** What visitors are told of each stage of a wake. */
export const STAGE_WORDS: Readonly<Record<WakeStage, string>> = {
  preparing: 'Getting its data ready',
  starting: 'Starting it',
  answering: 'Waiting for its first answer',
}
const STOPPING = 'It was just falling asleep, and wakes right after'

/**
 * A script that follows a wake at `eventsPath`, and opens the app when it has ended. It fills the elements with `data-shadow` on the page:
 * `seconds` since the wake began, `stage` in words, and `stages`, a list whose items get the class `done` or `now`.
 */
export const followScript = (eventsPath: string): string => `
const stages = ${JSON.stringify(WAKE_STAGES)}
let began = Date.now()
const all = name => document.querySelectorAll('[data-shadow=' + name + ']')
const showSeconds = () => { for (const one of all('seconds')) one.textContent = Math.round((Date.now() - began) / 1000) }
const show = ({ phase, stage, ms }) => {
  if (ms !== undefined) began = Date.now() - ms
  showSeconds()
  const at = stages.indexOf(stage)
  for (const one of all('stages')) [...one.children].forEach((child, index) => {
    child.className = index < at ? 'done' : index === at ? 'now' : ''
    if (index === at) child.setAttribute('aria-current', 'step')
    else child.removeAttribute('aria-current')
  })
  const said = phase === 'stopping' ? ${JSON.stringify(STOPPING)} : (${JSON.stringify(STAGE_WORDS)})[stage]
  if (said !== undefined) for (const one of all('stage')) one.textContent = said
}
setInterval(showSeconds, 1000)
const events = new EventSource(${JSON.stringify(eventsPath)})
events.onmessage = event => {
  const progress = JSON.parse(event.data)
  show(progress)
  if (progress.phase === 'waking' || progress.phase === 'stopping') return
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
