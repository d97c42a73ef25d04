import { parseEnv } from 'node:util'
import type { Fault } from '../lib/errors.ts'

type DotEnv = {
  readonly variables: ReadonlyMap<string, string>
  readonly faults: readonly Fault[]
  /** Lines that may mean another thing than was meant. They never have a value: it may be a secret. */
  readonly notes: readonly string[]
}

const QUOTES = ['"', "'", '`']

/**
 * Reads a `.env` file by the rules of Node's own parser: `export` is allowed, quotes are taken off and may span lines, `#` begins a comment. That
 * parser leaves out lines that it does not understand. Here each such line is a fault, so that no secret is lost unseen.
 */
export function readDotEnv(text: string): DotEnv {
  const parsed = new Map(Object.entries(parseEnv(text) as Record<string, string>))
  const faults: Fault[] = []
  const notes: string[] = []
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/)
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]?.trim() ?? ''
    if (line === '' || line.startsWith('#')) continue
    const field = `line ${at + 1}`
    const [, name, value = ''] = /^(?:export\s+)?([^\s=#]+)\s*=\s*(.*)$/.exec(line) ?? []
    if (name === undefined || !parsed.has(name)) {
      faults.push({ field, message: 'is not NAME=VALUE' })
      continue
    }
    const quote = QUOTES.find(one => value.startsWith(one))
    if (quote === undefined) {
      if (value.includes('#'))
        notes.push(`${field}: the value of ${name} ends at the #; quote it if the # belongs to it`)
      continue
    }
    // A quoted value goes on until its quote comes again.
    for (let rest = value.slice(1); !rest.includes(quote); ) {
      at++
      const next = lines[at]
      if (next === undefined) {
        faults.push({ field, message: `the value of ${name} has no closing ${quote}` })
        break
      }
      rest = next
    }
  }
  return { variables: parsed, faults, notes }
}
