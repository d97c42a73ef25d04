import type { StepTime } from '../../../../model/timeline.ts'
import { sayMs } from '../../../format.ts'
import { barsOf, lanesOf } from './waterfall-layout.ts'

type Props = { readonly steps: readonly StepTime[]; readonly ms: number }

/** The steps of a wake with their starts and lengths: a table whose rows have bars. */
export function Waterfall({ steps, ms }: Props) {
  return (
    <div class="table-scroll">
      <table class="waterfall">
        <caption class="unseen">The steps of this wake, which took {sayMs(ms)}</caption>
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col" class="num begins">
              Begins
            </th>
            <th scope="col" class="num">
              Takes
            </th>
            <td class="waterfall-scale" aria-hidden="true">
              <span>0</span>
              <span>{sayMs(ms)}</span>
            </td>
          </tr>
        </thead>
        <tbody>
          {barsOf(steps, ms).map(({ step, words, of, startMs, ms, left, width }) => (
            <tr key={step}>
              <th scope="row">{words}</th>
              <td class="num faint begins">{sayMs(startMs)}</td>
              <td class="num">{sayMs(ms)}</td>
              <td class="waterfall-track" aria-hidden="true">
                <span class={`bar of-${of}`} style={{ marginLeft: `${left}%`, width: `${width}%` }} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** The same in a few thin lines; the longest step is named. */
export function WakeBar({ steps, ms }: Props) {
  const bars = barsOf(steps, ms)
  const longest = bars.toSorted((a, b) => b.ms - a.ms)[0]
  return (
    <div class="wake-bar">
      <div aria-hidden="true">
        {lanesOf(bars).map(lane => (
          <div key={lane[0]?.step} class="wake-lane">
            {lane.map(({ step, words, of, ms, left, width }) => (
              <span
                key={step}
                class={`bar of-${of}`}
                style={{ left: `${left}%`, width: `${width}%` }}
                title={`${words}: ${sayMs(ms)}`}
              />
            ))}
          </div>
        ))}
      </div>
      {longest && (
        <p class="faint">
          longest step: {longest.words}, {sayMs(longest.ms)}
        </p>
      )}
    </div>
  )
}
