/** One of our own pages: small, without anything from elsewhere, readable in light and dark, with and without scripts. */
export function page({ title, body, script = '' }: { title: string; body: string; script?: string }): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(title)}</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { display: grid; place-items: center; min-height: 90vh; margin: 0 1rem; text-align: center }
h1 { font-size: 1.25rem; font-weight: 600 }
p { margin: .5rem 0; opacity: .75 }
.dots::after { content: "…"; animation: blink 1.2s steps(2) infinite }
@keyframes blink { 50% { opacity: .2 } }
@media (prefers-reduced-motion: reduce) { .dots::after { animation: none } }
</style>
<main>${body}</main>${script === '' ? '' : `\n<script>${script}</script>`}
</html>
`
}

/** The text as it may stand in HTML. */
export const escaped = (text: string): string => text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
