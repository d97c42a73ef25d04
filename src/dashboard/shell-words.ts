/** A word as a shell takes it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

/** A command line that a shell splits into these words. Words that are undefined are left out. */
export const shellWords = (...words: readonly (string | undefined)[]): string =>
  words
    .filter(word => word !== undefined)
    .map(quoted)
    .join(' ')

const PART = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\([\s\S])|(\s+)|([^\s'"\\]+|['"\\])/g

/** The words of a line as a shell splits it, without expansions. */
export function splitWords(line: string): readonly string[] {
  const words: string[] = []
  let word: string | undefined
  for (const [, single, double, escaped, space, plain] of line.matchAll(PART)) {
    if (space !== undefined) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else word = `${word ?? ''}${single ?? double?.replace(/\\([$`"\\])/g, '$1') ?? escaped ?? plain ?? ''}`
  }
  return word === undefined ? words : [...words, word]
}
