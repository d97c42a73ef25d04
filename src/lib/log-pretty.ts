import { escapeControls } from './control-characters.ts'

type Entry = Record<string, unknown> & { readonly time: string; readonly level: string; readonly msg: string }

/** Fields that the line shows in another form, or that are the same for the whole process. */
const HIDDEN = new Set(['time', 'level', 'msg', 'name', 'pid', 'hostname', 'cause'])
const COLOURS: Readonly<Record<string, string>> = {
  debug: '\x1b[2m',
  info: '\x1b[32m',
  warn: '\x1b[33m',
  error: '\x1b[31m',
}
const DIM = '\x1b[2m'
const PLAIN = '\x1b[0m'

/**
 * A line of the JSON log as people read it: time, level, event, fields; below them, indented, the stack of a cause.
 * Control characters and line ends in text from others are escaped, so that no field looks like another line.
 */
export function prettyLine(json: string, colours: boolean): string {
  const entry: Entry = JSON.parse(json)
  const styled = (style: string | undefined, text: string): string =>
    colours && style !== undefined ? `${style}${text}${PLAIN}` : text
  const time = entry.time.replace('T', ' ')
  const level = entry.level.toUpperCase().padEnd(5)
  const fields = Object.entries(entry)
    .filter(([key]) => !HIDDEN.has(key))
    .map(([key, value]) => ` ${styled(DIM, `${escapeControls(key)}=`)}${shownValue(value)}`)
  const head = `${styled(DIM, time)} ${styled(COLOURS[entry.level], level)} ${escapeLine(entry.msg)}${fields.join('')}`
  return `${head}\n${stackOf(entry['cause'])}`
}

// Quoted unless it is one word: a value with spaces or quotes could look like several fields.
function shownValue(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=]+$/.test(value)) return escapeLine(value)
  return escapeLine(JSON.stringify(value))
}

function stackOf(cause: unknown): string {
  if (cause === undefined) return ''
  const stack = typeof cause === 'object' && cause !== null && 'stack' in cause ? cause.stack : cause
  const text = typeof stack === 'string' ? stack : JSON.stringify(stack)
  return escapeControls(text).replace(/^/gm, '    ').concat('\n')
}

const escapeLine = (text: string): string => escapeControls(text).replaceAll('\n', '\\n')
