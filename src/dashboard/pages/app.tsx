import { Empty } from '../components/empty.tsx'
import { Failure } from '../components/failure.tsx'
import { Heading } from '../components/heading.tsx'
import { Icon } from '../components/icon.tsx'
import { Link } from '../components/link.tsx'
import { Phase } from '../components/phase.tsx'
import { Countdown, Since } from '../components/time.tsx'
import type { PageProps } from '../page-props.ts'
import { type AppFacts, useApp } from '../use-app.ts'
import { TABS } from './app/tabs.ts'

/** The page of one app: its state, and a tab for each subject. */
export function AppPage({ params: { app = '', tab = '' } }: PageProps) {
  const facts = useApp(app)
  const { error, reload } = facts
  const Tab = TABS.find(({ path }) => path === tab)?.Tab
  if (error?.code === 'app-not-found')
    return (
      <Empty title={`There is no app ${app}`}>
        <Link to="/">All apps</Link>
      </Empty>
    )
  return (
    <>
      <Heading title={app}>
        {facts.row?.url && (
          <a class="button" href={facts.row.url} target="_blank" rel="noreferrer">
            <Icon name="open" /> Open
          </a>
        )}
      </Heading>
      <State facts={facts} />
      <nav class="tabs" aria-label={`Pages of ${app}`}>
        {TABS.map(({ path, text }) => (
          <Link
            key={path}
            to={path === '' ? `/apps/${app}` : `/apps/${app}/${path}`}
            aria-current={path === tab ? 'page' : undefined}
          >
            {text}
          </Link>
        ))}
      </nav>
      {error && <Failure error={error} retry={reload} />}
      {Tab === undefined ? <Empty title="There is no such page" /> : facts.app && <Tab facts={facts} app={facts.app} />}
    </>
  )
}

function State({ facts: { row } }: { facts: AppFacts }) {
  return (
    <div class="app-state" aria-live="polite">
      {row && (
        <>
          <Phase of={row} />
          {row.since !== null && (
            <span class="faint">
              <Since at={row.since} />
            </span>
          )}
          {row.sleepsAt !== null && (
            <span>
              sleeps in <Countdown to={row.sleepsAt} />
            </span>
          )}
          <span class="faint">{row.because}</span>
          {row.node !== null && <span class="faint">on {row.node}</span>}
        </>
      )}
    </div>
  )
}
