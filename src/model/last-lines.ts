const NONE = '; it wrote nothing'
const THESE = '; its last lines:\n'

/** The message with the last lines that the app wrote. They are for the app's owner only. */
export const withLastLines = (what: string, lines: readonly string[], mostChars = Number.POSITIVE_INFINITY): string =>
  lines.length === 0 ? `${what}${NONE}` : `${what}${THESE}${lines.join('\n').slice(-mostChars)}`

/** The message without those lines, for visitors: an app's lines may contain secrets. */
export function withoutLastLines(message: string): string {
  const end = [THESE, NONE].map(mark => message.indexOf(mark)).filter(at => at >= 0)
  return end.length === 0 ? message : message.slice(0, Math.min(...end))
}
