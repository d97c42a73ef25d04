/** At most three names that a mistyped word may stand for, nearest first. */
export function nearest(word: string, names: readonly string[]): readonly string[] {
  const most = Math.max(1, Math.floor(word.length / 3))
  return names
    .map(name => ({ name, distance: word.length > 1 && name.startsWith(word) ? 0.5 : distance(word, name) }))
    .filter(near => near.distance <= most)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(near => near.name)
}

/** The edit distance: how many letters must be inserted, removed, changed, or swapped with their neighbour. */
function distance(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > 3) return 4
  let older: number[] = []
  let above = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      const swapped = row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current[column] = Math.min(
        (above[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (above[column - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (older[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    older = above
    above = current
  }
  return above[to.length] ?? 0
}
