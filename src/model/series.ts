/** A resolution in which nodes keep samples, and for how long. Samples of a longer step are the sum of those of a shorter one. */
export const RESOLUTIONS = [
  { stepSeconds: 10, keptSeconds: 3_600 },
  { stepSeconds: 60, keptSeconds: 86_400 },
  { stepSeconds: 3_600, keptSeconds: 31 * 86_400 },
] as const

/** The times of a series, in seconds since 1970; `to` is the end of its last step. */
export type SeriesRange = { readonly from: number; readonly to: number; readonly stepSeconds: number }

/** The shortest steps in which there are samples from then on, and of which there are at most `points` up to then. Times in seconds since 1970. */
export function seriesRange(
  { from, to, points }: { from: number; to: number; points: number },
  now: number,
): SeriesRange {
  const agoSeconds = now - from
  // What is asked for at the very end of a time that is kept may be gone when a node reads it: a tenth more is kept.
  const kept = RESOLUTIONS.find(({ keptSeconds }) => agoSeconds <= keptSeconds) ?? RESOLUTIONS[2]
  const fitting = RESOLUTIONS.findLast(({ stepSeconds }) => stepSeconds <= (to - from) / points) ?? RESOLUTIONS[0]
  const least = Math.max(kept.stepSeconds, fitting.stepSeconds)
  // The first step begins at a multiple of its length, which may make one step more.
  let stepSeconds = least * Math.max(1, Math.ceil((to - from) / points / least))
  const begin = (): number => Math.floor(from / stepSeconds) * stepSeconds
  const count = (): number => Math.max(1, Math.ceil((to - begin()) / stepSeconds))
  while (count() > points) stepSeconds += least
  return { from: begin(), to: begin() + count() * stepSeconds, stepSeconds }
}

export const HOURS_OF_ACTIVITY = 168

/** The start of the first hour of the activity that is told at the time `now`; both in seconds since 1970. */
export const activityFrom = (now: number): number => (Math.floor(now / 3_600) - (HOURS_OF_ACTIVITY - 1)) * 3_600
