import { faultOfLabel } from '../../../model/names.ts'
import { linesOf } from '../../lines.ts'
import { splitWords } from '../../shell-words.ts'
import type { Values } from './definition.ts'

const SIZE = /^\d+(?:\.\d+)?\s*(?:[kmgt]i?b?|b)$/i
const DURATION = /^(?:(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+|never)$/

/** What can be told of a field while it is typed; the master has the last word. Empty fields have no fault yet. */
export function faultWhileTyped(name: keyof Values, text: string): string | undefined {
  const value = text.trim()
  if (value === '') return undefined
  if (name === 'name') return faultOfLabel(value)
  if (name === 'port') return /^\d+$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535 ? undefined : PORT
  if (name === 'volume.size' || name === 'limits.memory') return SIZE.test(value) ? undefined : SIZES
  if (name === 'limits.cpus') return Number(value) > 0 ? undefined : 'write a number, such as 0.5'
  if (name === 'sleep.idleAfter') return DURATION.test(value) ? undefined : 'write 90s, 5m, 1h30m or never'
  if (name === 'volume.path') return value.startsWith('/') ? undefined : 'begins with /, such as /data'
  if (name === 'command') return splitWords(value).some(word => /^(?:[|&;<>]+)$/.test(word)) ? SHELL : undefined
  if (name === 'env' || name === 'secrets') return variableFault(value)
  return undefined
}

const PORT = 'write a number from 1 to 65535'
const SIZES = 'write a number with its unit, such as 512MiB or 1GiB'
const SHELL = 'no shell reads this: for pipes and && write sh -c "…"'

function variableFault(text: string): string | undefined {
  const bad = linesOf(text).find(line => !/^[^\s=]+\s*=/.test(line))
  return bad === undefined ? undefined : `"${bad.slice(0, 40)}" is not NAME=value`
}
