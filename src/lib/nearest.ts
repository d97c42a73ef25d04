/** The word that was probably meant: the nearest by edit distance, if it is near at all. */
export function nearest(meant: string, words: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Math.max(1, Math.floor(meant.length / 3)) + 1
  for (const word of words) {
    const far = distance(meant.toLowerCase(), word.toLowerCase())
    if (far < least) {
      least = far
      best = word
    }
  }
  return best
}

/** Levenshtein's, where two letters changed about count as one edit. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const at = (y: number, x: number): number => (y === i ? row[x] : rows[y]?.[x]) ?? Number.POSITIVE_INFINITY
      let far = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1))
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) far = Math.min(far, at(i - 2, j - 2) + 1)
      row.push(far)
    }
    rows.push(row)
  }
  return rows.at(-1)?.at(-1) ?? Number.POSITIVE_INFINITY
}
