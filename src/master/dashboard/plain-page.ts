import type { ServerResponse } from 'node:http'
import { documentHeaders } from './page-headers.ts'

/** Answers with a page of text alone: a heading and paragraphs. It needs no file of the dashboard. */
export function answerPlainPage(
  response: ServerResponse,
  status: number,
  { heading, says, link }: { heading: string; says: readonly string[]; link?: { href: string; text: string } },
): void {
  const paragraphs = says.map(text => `<p>${escaped(text)}</p>`).join('\n')
  const more = link === undefined ? '' : `<p><a href="${escaped(link.href)}">${escaped(link.text)}</a></p>\n`
  response.writeHead(status, { ...documentHeaders(), 'cache-control': 'no-store' })
  response.end(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>${escaped(heading)}</title>
<h1>${escaped(heading)}</h1>
${paragraphs}
${more}</html>
`)
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
