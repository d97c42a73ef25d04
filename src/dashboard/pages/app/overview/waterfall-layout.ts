import type { StepTime } from '../../../../model/timeline.ts'

export type Bar = StepTime & {
  readonly words: string
  /** What the step works on, which gives its colour. */
  readonly of: 'volume' | 'container' | 'app'
  /** Where it begins and how long it is, in percent of the whole wake. */
  readonly left: number
  readonly width: number
}

const STEPS: Readonly<Record<StepTime['step'], readonly [words: string, of: Bar['of']]>> = {
  lease: ['lease of the volume', 'volume'],
  attach: ['attach the volume', 'volume'],
  fsck: ['check the filesystem', 'volume'],
  mount: ['mount', 'volume'],
  image: ['get the image', 'container'],
  create: ['create the container', 'container'],
  companions: ['wake its companions', 'container'],
  turn: ['wait for its turn to start', 'container'],
  start: ['start the container', 'container'],
  ready: ['wait until the app is ready', 'app'],
}

const LEAST_WIDTH = 0.6

/** The steps of a wake as bars, in the order they began. `ms`: how long the whole wake took. */
export function barsOf(steps: readonly StepTime[], ms: number): readonly Bar[] {
  const whole = Math.max(ms, 1, ...steps.map(step => step.startMs + step.ms))
  return steps
    .toSorted((a, b) => a.startMs - b.startMs || a.ms - b.ms)
    .map(step => {
      const [words, of] = STEPS[step.step] ?? [step.step, 'app']
      const width = Math.max(LEAST_WIDTH, (100 * step.ms) / whole)
      const left = Math.min((100 * step.startMs) / whole, 100 - width)
      return { ...step, words, of, left, width }
    })
}

/** The bars in as few lanes as there are bars side by side at most. */
export function lanesOf(bars: readonly Bar[]): readonly (readonly Bar[])[] {
  const lanes: Bar[][] = []
  for (const bar of bars) {
    const lane = lanes.find(lane => {
      const last = lane.at(-1)
      return last === undefined || last.startMs + last.ms <= bar.startMs
    })
    if (lane === undefined) lanes.push([bar])
    else lane.push(bar)
  }
  return lanes
}
