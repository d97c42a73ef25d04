import type { ComponentChildren } from 'preact'
import type { App } from '../../../../model/app.ts'
import type { InstanceView } from '../../../../model/instance.ts'
import type { AppRow } from '../../../../model/overview.ts'
import { sayUse } from '../../../../model/say-use.ts'
import { call } from '../../../api.ts'
import { Link } from '../../../components/link.tsx'
import { Time } from '../../../components/time.tsx'
import { WeekStrip } from '../../../components/week-strip.tsx'
import { sayBytes, sayDuration, sayMoney, sayMs } from '../../../format.ts'
import { useActivity } from '../../../use-activity.ts'
import type { AppFacts } from '../../../use-app.ts'
import { useCall } from '../../../use-call.ts'
import { sayIdle } from './event-words.ts'
import { useInstance, useLastWake } from './use-instance.ts'
import { WakeSleep } from './wake-sleep.tsx'
import { WakeBar } from './waterfall.tsx'

/** The state of the app: what keeps it awake, its last wake, what it has and what it costs. */
export function Glance({ app, facts: { row } }: { app: App; facts: AppFacts }) {
  const { value: instance } = useInstance(app.name, row)
  const hours = useActivity([app.name])(app.name)
  return (
    <section class="glance card" aria-labelledby="glance-title">
      <div class="overview-head">
        <h2 id="glance-title">Now</h2>
        <WakeSleep app={app.name} row={row} />
      </div>
      {instance?.problem && row?.phase !== 'awake' && (
        <div class="failure">
          <strong>{instance.problem.code}</strong>
          <pre>{instance.problem.detail}</pre>
        </div>
      )}
      <dl class="glance-facts">
        <Fact name={WHY[row?.phase ?? 'unknown'] ?? 'State'}>
          <Holds row={row} instance={instance} />
        </Fact>
        <Fact name="Sleeps">{sleepRule(app)}</Fact>
        <LastWake app={app.name} row={row} />
        <Fact name="Last 7 days">
          <WeekStrip hours={hours} />
        </Fact>
        <Month app={app.name} row={row} />
        <Fact name="Release">
          <Link to={`/apps/${app.name}/releases`}>{app.task.revision}</Link>{' '}
          <span class="faint cut">{app.task.source === undefined ? app.task.image : 'from source'}</span>
        </Fact>
        <Fact name="Node">
          {row?.node ?? <span class="faint">none: the next wake chooses one</span>}
          {row !== undefined && row.instances > 1 && ` · ${row.awake} of ${row.instances} instances awake`}
        </Fact>
        <Fact name="Volume">
          <VolumeUse app={app} row={row} />
        </Fact>
      </dl>
    </section>
  )
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

const WHY: Readonly<Record<string, string>> = {
  awake: 'Awake because',
  waking: 'Waking because',
  frozen: 'Frozen because',
  suspended: 'Suspended because',
  asleep: 'Asleep because',
  stopping: 'Going to sleep because',
  crashed: 'Crashed',
  stuck: 'Stuck',
}

const MOST_HOLDS = 6

function Holds({ row, instance }: { row: AppRow | undefined; instance: InstanceView | undefined }) {
  const holds = row?.phase === 'awake' ? (instance?.holds ?? []) : []
  if (holds.length === 0) return <>{row?.because ?? '–'}</>
  return (
    <ul class="uses">
      {holds.slice(0, MOST_HOLDS).map(({ kind, what, since, until, isIgnored }) => (
        <li key={`${since} ${kind} ${what}`}>
          {sayUse({ kind, what })}{' '}
          <span class="faint">
            since <Time at={since} />
            {until !== undefined && (
              <>
                , ends <Time at={until} />
              </>
            )}
            {isIgnored && ', does not keep it awake'}
          </span>
        </li>
      ))}
      {holds.length > MOST_HOLDS && <li class="faint">and {holds.length - MOST_HOLDS} more</li>}
    </ul>
  )
}

function sleepRule({ task: { sleep } }: App): string {
  if (sleep.idleAfter === 'never') return 'never (--idle-after never)'
  return `after ${sayIdle(sleep.idleAfter)} in which nobody uses it`
}

function LastWake({ app, row }: { app: string; row: AppRow | undefined }) {
  const wake = useLastWake(app, row)
  return (
    <Fact name="Last wake">
      {wake === undefined ? (
        <span class="faint">none is known</span>
      ) : (
        <>
          <p>
            <Time at={wake.at} />
            {wake.outcome === 'failed' && <strong class="bad"> failed</strong>}
            {wake.ms !== undefined && <span class="num">, in {sayMs(wake.ms)}</span>}
          </p>
          {wake.by !== undefined && <p class="faint cut">by {wake.by}</p>}
          {wake.steps !== undefined && wake.steps.length > 0 && <WakeBar steps={wake.steps} ms={wake.ms ?? 0} />}
        </>
      )}
    </Fact>
  )
}

/** The month costs as much as the list says; the currency is in the usage alone. */
function Month({ app, row }: { app: string; row: AppRow | undefined }) {
  const { value } = useCall(signal => call('getUsage', { query: { app: app as App['name'] }, signal }), [app])
  const used = value?.items[0]
  const month = row?.month ?? used
  return (
    <Fact name="This month">
      {month === undefined || month === null ? (
        <span class="faint">–</span>
      ) : (
        <span class="num">
          {month.cost !== null && month.alwaysOnCost !== null && (
            <>
              {sayMoney(month.cost, value?.currency ?? null)}{' '}
              <span class="faint">of {sayMoney(month.alwaysOnCost, value?.currency ?? null)} always on · </span>
            </>
          )}
          {sayDuration(month.awakeSeconds)} awake
        </span>
      )}
    </Fact>
  )
}

function VolumeUse({ app, row }: { app: App; row: AppRow | undefined }) {
  if (app.task.volume === undefined) return <span class="faint">none: what it writes is gone when it sleeps</span>
  const used = row?.volume?.usedBytes ?? null
  const size = row?.volume?.sizeBytes
  if (used === null || size === undefined) return <>{app.task.volume.size}, not measured yet</>
  return (
    <>
      <span class="num">
        {sayBytes(used)} <span class="faint">of {sayBytes(size)}</span>
      </span>
      <meter min={0} max={size} high={0.9 * size} value={used} aria-label="How full the volume is">
        {Math.round((100 * used) / size)} %
      </meter>
    </>
  )
}
