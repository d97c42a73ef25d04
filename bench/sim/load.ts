type LoadOptions = {
  readonly apps: number
  /** How many visits there are in a second, on average, to all apps together. */
  readonly perSecond: number
  /** The app of rank r has a share of the visits that is proportional to 1/r to the power of this number. */
  readonly exponent?: number
  readonly random: () => number
}

/** A visit: how long after the one before it comes, which app it is for (0 is the most visited one), and how long its request takes. */
export type Visit = { readonly afterMs: number; readonly app: number; readonly lastsMs: number }

const MEAN_REQUEST_MS = 300

/** A heavy-tailed load: visits come at random moments (a Poisson process), and how often an app is visited follows Zipf's law. */
export function loadOf({ apps, perSecond, exponent = 1, random }: LoadOptions): () => Visit {
  const sums = new Float64Array(apps)
  let sum = 0
  for (let app = 0; app < apps; app++) {
    sum += (app + 1) ** -exponent
    sums[app] = sum
  }
  const exponential = (mean: number): number => -mean * Math.log(1 - random())
  return () => ({
    afterMs: exponential(1_000 / perSecond),
    app: firstAbove(sums, random() * sum),
    lastsMs: exponential(MEAN_REQUEST_MS),
  })
}

/** The first place whose sum is greater than the value. */
function firstAbove(sums: Float64Array, value: number): number {
  let [low, high] = [0, sums.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sums[middle] ?? 0) > value) high = middle
    else low = middle + 1
  }
  return low
}
