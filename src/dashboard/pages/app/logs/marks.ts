import type { Span } from './ansi.ts'

export type MarkedSpan = Span & { readonly isMarked: boolean }

/** The spans, cut where the text that was searched for begins and ends, in upper and lower case. undefined: nothing was searched for. */
export function markText(spans: readonly Span[], pattern: RegExp | undefined): readonly MarkedSpan[] {
  if (pattern === undefined) return spans.map(span => ({ ...span, isMarked: false }))
  // Where marks begin and end, one after the other.
  const cuts: number[] = []
  for (const { 0: found, index } of spans
    .map(({ text }) => text)
    .join('')
    .matchAll(pattern))
    if (found !== '') cuts.push(index, index + found.length)
  const marked: MarkedSpan[] = []
  let from = 0
  let next = 0
  for (const { text, classes } of spans) {
    const to = from + text.length
    for (let at = from; at < to; ) {
      while ((cuts[next] ?? to) <= at && next < cuts.length) next += 1
      const cut = Math.min(to, cuts[next] ?? to)
      marked.push({ text: text.slice(at - from, cut - from), classes, isMarked: next % 2 === 1 })
      at = cut
    }
    from = to
  }
  return marked
}
