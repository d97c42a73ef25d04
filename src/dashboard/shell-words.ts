/** A word as a shell takes it. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

/** A command line that a shell splits into these words. Words that are undefined are left out. */
export const shellWords = (...words: readonly (string | undefined)[]): string =>
  words
    .filter(word => word !== undefined)
    .map(quoted)
    .join(' ')
