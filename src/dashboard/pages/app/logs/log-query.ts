export const SINCE = [
  ['', 'The last lines'],
  ['15m', 'Last 15 minutes'],
  ['1h', 'Last hour'],
  ['6h', 'Last 6 hours'],
  ['1d', 'Last day'],
  ['7d', 'Last 7 days'],
] as const

export const STREAMS = ['stdout', 'stderr', 'shadow'] as const

/** What the person asked for; it stands in the URL. */
export type LogAsked = {
  readonly text: string
  /** true: the text is a regular expression in the syntax of RE2. */
  readonly isPattern: boolean
  readonly since: string
  /** '': now. */
  readonly until: string
  readonly instance: string
}

/** The same as the master's query. A text that is no pattern is found in upper and lower case. */
export function queryOf({ text, isPattern, since, until, instance }: LogAsked) {
  const grep = text === '' ? undefined : isPattern ? text : `(?i)${quoted(text)}`
  return {
    ...(grep !== undefined && { grep }),
    ...(since !== '' && { since }),
    ...(until !== '' && { until }),
    ...(instance !== '' && { instance }),
  }
}

/** Finds in lines the text that was searched for; undefined for a pattern, whose syntax browsers do not have. */
export const findPattern = ({ text, isPattern }: LogAsked): RegExp | undefined =>
  text === '' || isPattern ? undefined : new RegExp(quoted(text), 'giu')

/** The text as a pattern that matches it alone. */
const quoted = (text: string): string => text.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')

/** The command of the CLI that shows the same lines. */
export function commandOf(app: string, asked: LogAsked, isLive: boolean): string {
  const { grep, since, until, instance } = queryOf(asked)
  const parts = [
    'shadow logs',
    app,
    isLive && '-f',
    since && `--since ${since}`,
    until && `--until ${until}`,
    instance && `--instance ${instance}`,
    grep && `--grep ${word(grep)}`,
  ]
  return parts.filter(Boolean).join(' ')
}

/** The text as one word of a shell. */
const word = (text: string): string => (/^[\w./:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)

const AROUND_MS = 60_000

/** The path of the log of an app around a moment. */
export function logAround(app: string, at: string): string {
  const moment = (ms: number): string => new Date(Date.parse(at) + ms).toISOString()
  const query = new URLSearchParams({ since: moment(-AROUND_MS), until: moment(AROUND_MS), live: '0' })
  return `/apps/${app}/logs?${query}`
}
