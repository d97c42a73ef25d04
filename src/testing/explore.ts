/** One thing that may happen next in a world: its name, and the world after it. */
export type Step<World> = readonly [name: string, next: World]

type Options<World> = {
  readonly start: World
  /** All that may happen next. A world where nothing may happen is an end. */
  readonly steps: (world: World) => readonly Step<World>[]
  /** What is wrong with the world; undefined if nothing is. */
  readonly fault: (world: World, isEnd: boolean) => string | undefined
  /** More worlds than this fail the exploration, since it would not be exhaustive. */
  readonly most: number
}

/** `fault`: the first fault found, by one of the shortest ways there; undefined if no world has one. */
export type Explored = {
  readonly worlds: number
  readonly fault: { readonly what: string; readonly way: readonly string[] } | undefined
}

/** Visits every world that can be reached, breadth first. Worlds are compared by their JSON. */
export function explore<World>({ start, steps, fault, most }: Options<World>): Explored {
  const seen = new Set([JSON.stringify(start)])
  /** How each world was reached: the number of the world before it, and the step. */
  const cameFrom: (readonly [before: number, step: string])[] = [[-1, '']]
  let layer: (readonly [number, World])[] = [[0, start]]
  const wayTo = (at: number): string[] => {
    const way: string[] = []
    for (let [before, step] = cameFrom[at] ?? [-1, '']; before >= 0; [before, step] = cameFrom[before] ?? [-1, ''])
      way.unshift(step)
    return way
  }
  while (layer.length > 0) {
    const next: (readonly [number, World])[] = []
    for (const [at, world] of layer) {
      const found = steps(world)
      const what = fault(world, found.length === 0)
      if (what !== undefined) return { worlds: seen.size, fault: { what, way: wayTo(at) } }
      for (const [step, after] of found) {
        const key = JSON.stringify(after)
        if (seen.has(key)) continue
        seen.add(key)
        if (seen.size > most) throw new Error(`there are more than ${most} worlds`)
        next.push([cameFrom.push([at, step]) - 1, after])
      }
    }
    layer = next
  }
  return { worlds: seen.size, fault: undefined }
}
