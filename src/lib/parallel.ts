/** Maps the items, at most `most` at the same time. The results are in the order of the items; the first failure fails all. */
export async function mapAtMost<T, R>(most: number, items: readonly T[], map: (item: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = new Array(items.length)
  const left = items.entries()
  const work = async (): Promise<void> => {
    for (const [index, item] of left) answers[index] = await map(item)
  }
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, work))
  return answers
}
