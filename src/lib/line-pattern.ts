import { RE2JS, RE2JSException } from 're2js'
import { ShadowError } from './errors.ts'

// What the instructions of a pattern may number: the time of a match grows with them, and repetitions multiply them.
const MOST_INSTRUCTIONS = 500
/** How much of a line is looked at, in characters. */
const MOST_OF_LINE = 2_048

/**
 * A regular expression with the syntax of RE2, whose matching takes time that is linear in the line, whatever the pattern:
 * JavaScript's own backtracks, so that one line can stop the process for seconds. Fails with `bad-input` where the pattern is
 * not of that syntax (there are no look-aheads and no back-references) or is too large.
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
