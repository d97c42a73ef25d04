import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Values } from './chart-words.ts'

export type PlotLine = { readonly values: Values; readonly colour: string; readonly kind: 'line' | 'area' | 'bars' }

export type PlotSpec = {
  readonly times: readonly number[]
  readonly stepSeconds: number
  readonly lines: readonly PlotLine[]
  readonly awake: readonly number[]
  readonly say: (value: number) => string
  readonly sayTime: (seconds: number) => string
  /** The step under the pointer. */
  readonly onHover: (index: number | undefined) => void
  /** The least that the scale shows at the top. */
  readonly atLeast: number
  /** The scale has round numbers of units of 1,024. */
  readonly isBytes: boolean
}

const POWERS_OF_2 = Array.from({ length: 44 }, (_, power) => 2 ** power)

const HEIGHT = 132
const FONT = '11px system-ui, sans-serif'

/** The colour of the theme as it is now: a canvas does not know of CSS variables. */
const token = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

export type Plot = {
  /** Draws newer values of the same lines. */
  update(spec: PlotSpec): void
  destroy(): void
}

/** Draws a chart into the element, in the colours that the page has now. */
export function drawPlot(host: HTMLElement, first: PlotSpec): Plot {
  let spec = first
  const { say, sayTime, atLeast, isBytes } = spec
  const [faint, border, awake] = [token('--faint'), token('--border'), token('--awake-soft')]
  const axis = { stroke: faint, font: FONT, ticks: { show: false } }
  const grid = { stroke: border, width: 1 }
  const plot = new uPlot(
    {
      width: Math.max(120, host.clientWidth),
      height: HEIGHT,
      padding: [8, 4, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: 'app' }, drag: { x: false, y: false }, points: { size: 6 } },
      scales: {
        x: { time: true, range: () => [spec.times[0] ?? 0, (spec.times.at(-1) ?? 0) + spec.stepSeconds] },
        y: { range: (_, __, most) => [0, Math.max(atLeast, most * 1.1)] },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 22, gap: 5, space: 64, values: (_, seconds) => seconds.map(sayTime) },
        {
          ...axis,
          grid,
          size: 62,
          gap: 4,
          space: 34,
          values: (_, values) => values.map(say),
          ...(isBytes && { incrs: POWERS_OF_2 }),
        },
      ],
      series: [{}, ...spec.lines.map(line => seriesOf(line))],
      hooks: {
        drawClear: [plot => shadeAwake(plot, spec, awake)],
        setCursor: [({ cursor: { idx, left } }) => spec.onHover(idx == null || (left ?? -1) < 0 ? undefined : idx)],
      },
    },
    dataOf(spec),
    host,
  )
  const resized = new ResizeObserver(() => {
    if (host.clientWidth > 0 && host.clientWidth !== plot.width)
      plot.setSize({ width: host.clientWidth, height: HEIGHT })
  })
  resized.observe(host)
  return {
    update(next) {
      spec = next
      plot.setData(dataOf(next))
    },
    destroy() {
      resized.disconnect()
      plot.destroy()
    },
  }
}

const dataOf = ({ times, lines }: PlotSpec): uPlot.AlignedData => [
  [...times],
  ...lines.map(({ values }) => [...values]),
]

/** Without a neighbour, a value has no line: it is a point. */
const lonely: uPlot.Series.Points.Filter = ({ data }, series, isShown) => {
  if (isShown) return null
  const values = data[series] ?? []
  const indexes: number[] = []
  for (const [index, value] of values.entries())
    if (value != null && values[index - 1] == null && values[index + 1] == null) indexes.push(index)
  return indexes
}

function seriesOf({ colour, kind }: PlotLine): uPlot.Series {
  const stroke = token(colour)
  if (kind === 'bars') {
    const { bars } = uPlot.paths
    return {
      stroke,
      fill: stroke,
      width: 0,
      points: { show: false },
      ...(bars && { paths: bars({ align: 1, size: [0.9, 24, 1] }) }),
    }
  }
  return {
    stroke,
    width: 1.5,
    ...(kind === 'area' && { fill: `${stroke}22` }),
    points: { size: 4, fill: stroke, filter: lonely },
  }
}

const LEAST_ALPHA = 0.3

/** Behind all: the steps in which the app was awake, the fainter the smaller the share of the step is. */
function shadeAwake(plot: uPlot, { times, stepSeconds, awake }: PlotSpec, colour: string): void {
  const { ctx, bbox } = plot
  const pixelOf = (seconds: number): number => Math.round(plot.valToPos(seconds, 'x', true))
  ctx.save()
  ctx.fillStyle = colour
  for (const [index, begin] of times.entries()) {
    const share = awake[index] ?? 0
    if (share <= 0) continue
    ctx.globalAlpha = Math.max(LEAST_ALPHA, Math.min(1, share))
    const left = pixelOf(begin)
    ctx.fillRect(left, bbox.top, Math.max(1, pixelOf(begin + stepSeconds) - left), bbox.height)
  }
  ctx.restore()
}
