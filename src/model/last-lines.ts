const NONE = '; it wrote nothing'
const THESE = '; its last lines:\n'

/** What happened to an app, with the last lines that it wrote: they are for whoever runs it. */
export const withLastLines = (what: string, lines: readonly string[], mostChars = Number.POSITIVE_INFINITY): string =>
  lines.length === 0 ? `${what}${NONE}` : `${what}${THESE}${lines.join('\n').slice(-mostChars)}`

/** The same without them: an app's lines may hold what is nobody else's business. */
export function withoutLastLines(message: string): string {
  const end = [THESE, NONE].map(mark => message.indexOf(mark)).filter(at => at >= 0)
  return end.length === 0 ? message : message.slice(0, Math.min(...end))
}
