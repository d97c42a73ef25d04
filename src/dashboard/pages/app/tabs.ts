import type { ComponentType } from 'preact'
import { DangerTab } from './danger.tsx'
import { LogsTab } from './logs.tsx'
import { OverviewTab } from './overview.tsx'
import { ReleasesTab } from './releases.tsx'
import { SettingsTab } from './settings.tsx'
import type { TabProps } from './tab-props.ts'
import { TerminalTab } from './terminal.tsx'
import { VolumeTab } from './volume.tsx'

type Tab = { readonly path: string; readonly text: string; readonly Tab: ComponentType<TabProps> }

/** The tabs of an app's page, by the part of the path behind its name. */
export const TABS: readonly Tab[] = [
  { path: '', text: 'Overview', Tab: OverviewTab },
  { path: 'logs', text: 'Logs', Tab: LogsTab },
  { path: 'releases', text: 'Releases', Tab: ReleasesTab },
  { path: 'volume', text: 'Volume', Tab: VolumeTab },
  { path: 'settings', text: 'Settings', Tab: SettingsTab },
  { path: 'terminal', text: 'Terminal', Tab: TerminalTab },
  { path: 'danger', text: 'Danger zone', Tab: DangerTab },
]
