import { useEffect } from 'preact/hooks'
import { sectionId } from '../../components/section.tsx'
import { usePlace } from '../../router.ts'
import { AccessSection } from './settings/access-section.tsx'
import { LIMIT_FIELDS, RUN_FIELDS, SLEEP_FIELDS } from './settings/definition-groups.ts'
import { DefinitionSection } from './settings/definition-section.tsx'
import { DomainsSection } from './settings/domains-section.tsx'
import { EnvSection } from './settings/env-section.tsx'
import { ScaleSection } from './settings/scale-section.tsx'
import { SchedulesSection } from './settings/schedules-section.tsx'
import { SecretsSection } from './settings/secrets-section.tsx'
import { TcpSection } from './settings/tcp-section.tsx'
import { WakeSection } from './settings/wake-section.tsx'
import type { TabProps } from './tab-props.ts'

const TITLES = [
  'How it runs',
  'Environment',
  'Secrets',
  'Domains',
  'Memory and processors',
  'Sleep',
  'Scale',
  'Wake rules',
  'Access rules',
  'Schedules',
  'TCP ports',
]

/** The tab with all settings of an app, a form for each subject. */
export function SettingsTab(props: TabProps) {
  const { hash } = usePlace()
  // The browser looked for the section before there was one.
  useEffect(() => document.getElementById(hash)?.scrollIntoView(), [])
  return (
    <>
      <nav class="contents" aria-label="Parts of the settings">
        {TITLES.map(title => (
          <a key={title} href={`#${sectionId(title)}`}>
            {title}
          </a>
        ))}
      </nav>
      <DefinitionSection
        {...props}
        title="How it runs"
        says="Saving makes a release. An app that is awake is switched to it; one that sleeps gets it at its next wake."
        fields={RUN_FIELDS}
      />
      <EnvSection {...props} />
      <SecretsSection {...props} />
      <DomainsSection {...props} />
      <DefinitionSection
        {...props}
        title="Memory and processors"
        says="The most that an instance may use. Saving makes a release."
        fields={LIMIT_FIELDS}
      />
      <DefinitionSection
        {...props}
        title="Sleep"
        says="When the app sleeps, and how it is stopped. Saving makes a release."
        fields={SLEEP_FIELDS}
      />
      <ScaleSection {...props} />
      <WakeSection {...props} />
      <AccessSection {...props} />
      <SchedulesSection app={props.app} />
      <TcpSection {...props} />
    </>
  )
}
