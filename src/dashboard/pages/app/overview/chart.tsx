import { useEffect, useRef, useState } from 'preact/hooks'
import { useThemeVersion } from '../../../use-theme-version.ts'
import { type Series, sayValues, type Values } from './chart-words.ts'
import type { Plot, PlotLine } from './plot.ts'

export type ChartLine = PlotLine & { readonly name: string }

type Props = {
  readonly title: string
  readonly series: Series | undefined
  readonly lines: readonly ChartLine[]
  readonly say: (value: number) => string
  /** For the axis. */
  readonly sayTime: (seconds: number) => string
  /** For one value. */
  readonly sayMoment: (seconds: number) => string
  readonly atLeast: number
  readonly isBytes?: boolean
}

/** One chart, drawn by a part of the page that is loaded for it. Its caption says the last and the highest values. */
export function Chart({ title, series, lines, say, sayTime, sayMoment, atLeast, isBytes = false }: Props) {
  const host = useRef<HTMLDivElement>(null)
  const [hovered, setHovered] = useState<number>()
  const theme = useThemeVersion()
  const plot = useRef<Plot | undefined>(undefined)
  const spec = series && { ...series, lines, say, sayTime, atLeast, isBytes, onHover: setHovered }
  const latest = useRef(spec)
  latest.current = spec
  useEffect(() => {
    let isGone = false
    void import('./plot.ts').then(({ drawPlot }) => {
      if (isGone || host.current === null || latest.current === undefined) return
      plot.current = drawPlot(host.current, latest.current)
    })
    return () => {
      isGone = true
      plot.current?.destroy()
      plot.current = undefined
    }
  }, [series === undefined, theme])
  useEffect(() => {
    if (latest.current !== undefined) plot.current?.update(latest.current)
  }, [series])
  const at = series && hovered !== undefined ? series.times[hovered] : undefined
  return (
    <figure class="chart">
      <div class="chart-head">
        <h3>{title}</h3>
        <span class="chart-read num" aria-hidden="true">
          {at !== undefined && <span class="faint">{sayMoment(at)}</span>}
          {lines.map(({ name, colour, values }) => (
            <span key={name}>
              <span class="key" style={{ background: `var(${colour})` }} /> {name}{' '}
              <strong>{sayOne(values, hovered, say)}</strong>
            </span>
          ))}
        </span>
      </div>
      <div ref={host} class="chart-place" aria-hidden="true" />
      <figcaption class="unseen">
        {title}:{' '}
        {series === undefined
          ? 'reading'
          : lines.map(({ name, values }) => `${name} ${sayValues(values, series.times, say, sayMoment)}`).join('; ')}
      </figcaption>
    </figure>
  )
}

/** The value at the pointer, else the last one. */
function sayOne(values: Values, hovered: number | undefined, say: (value: number) => string): string {
  const value = hovered === undefined ? values.findLast(value => value !== null) : values[hovered]
  return value === null || value === undefined ? '–' : say(value)
}
