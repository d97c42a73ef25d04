import { Charts } from './overview/charts.tsx'
import { Glance } from './overview/glance.tsx'
import { AppTimeline } from './overview/timeline.tsx'
import type { TabProps } from './tab-props.ts'

/** The first tab of an app's page. Nothing on it wakes the app but the button that says so. */
export function OverviewTab({ facts, app }: TabProps) {
  return (
    <div class="overview">
      <Glance facts={facts} app={app} />
      <Charts app={app.name} row={facts.row} />
      <AppTimeline app={app} />
    </div>
  )
}
