/**
 * A pattern in which `*` stands for any number of any characters, and everything else for itself. It is matched against the whole text.
 * The time of a match is linear in the length of the text, whatever the pattern is (Knuth, Morris and Pratt). Regular expressions that
 * are made from such patterns backtrack: a text that nearly matches could stop the process for seconds.
 */
export function glob(pattern: string): (text: string) => boolean {
  const [first = '', ...others] = pattern.split('*')
  const last = others.pop()
  if (last === undefined) return text => text === first
  const middle = others.filter(part => part !== '').map(finderOf)
  return text => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false
    const end = text.length - last.length
    // The leftmost place of each part leaves the most room for the parts after it.
    let at: number | undefined = first.length
    for (const find of middle) {
      at = find(text, at, end)
      if (at === undefined) return false
    }
    return true
  }
}

/** Finds the end of the first occurrence of the part between two offsets. */
function finderOf(part: string): (text: string, from: number, end: number) => number | undefined {
  /** For each length of a beginning of the part: the length of its longest proper suffix that is a beginning too. */
  const fallbacks = [0]
  for (let at = 1, matched = 0; at < part.length; at += 1) {
    while (matched > 0 && part[at] !== part[matched]) matched = fallbacks[matched - 1] ?? 0
    if (part[at] === part[matched]) matched += 1
    fallbacks.push(matched)
  }
  return (text, from, end) => {
    for (let at = from, matched = 0; at < end; at += 1) {
      while (matched > 0 && text[at] !== part[matched]) matched = fallbacks[matched - 1] ?? 0
      if (text[at] === part[matched]) matched += 1
      if (matched === part.length) return at + 1
    }
    return undefined
  }
}
