/** A command of a transcript, with the output that the transcript shows. */
export type Step = { readonly command: string; readonly shown: readonly string[] }

/** The steps of a `console` block. `$ ` begins a command. */
export function stepsOf(text: string): readonly Step[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map(part => {
      const [command = '', ...shown] = part.trimEnd().split('\n')
      return { command, shown }
    })
}

/** The line without the parts that differ from run to run: times, durations, numbers, and the width of columns. */
const shape = (line: string): string =>
  line
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\b[0-9a-f]{12,}\b/g, 'ID')
    .replace(/\b(\d+(\.\d+)? ?(ms|s|m|h|d))+\b/g, 'LONG')
    .replace(/\d+(\.\d+)?/g, 'N')
    // Parallel steps end in any order.
    .replace(/(That wake took .*?): .*/, '$1')
    .replace(/\s+/g, ' ')
    .trim()

/** The shapes of all lines that are not blank. */
export const shapes = (lines: readonly string[]): readonly string[] => lines.map(shape).filter(line => line !== '')
