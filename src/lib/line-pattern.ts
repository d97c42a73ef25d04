import { RE2JS, RE2JSException } from 're2js'
import { ShadowError } from './errors.ts'

// The most instructions of a compiled pattern. The time of a match grows with them, and repetitions multiply them.
const MOST_INSTRUCTIONS = 500
/** How many characters of a line are matched. */
const MOST_OF_LINE = 2_048

/**
 * A regular expression in the syntax of RE2. The time of a match is linear in the length of the line, whatever the pattern is.
 * JavaScript's own engine backtracks, so that one line can stop the process for seconds.
 * Fails with `bad-input` if the pattern has another syntax (RE2 has no look-arounds and no back-references) or is too large.
 */
export function linePattern(source: string): (line: string) => boolean {
  const pattern = compiled(source)
  if (pattern.programSize() > MOST_INSTRUCTIONS)
    throw new ShadowError('bad-input', 'is too large a regular expression: use fewer or smaller repetitions')
  return line => pattern.matcher(line.slice(0, MOST_OF_LINE)).find()
}

function compiled(source: string): RE2JS {
  try {
    return RE2JS.compile(source)
  } catch (cause) {
    if (!(cause instanceof RE2JSException)) throw cause
    const why = cause.message.replace(/^error parsing regexp: /, '')
    throw new ShadowError('bad-input', `is not a regular expression as RE2 has them: ${why}`, { cause })
  }
}
