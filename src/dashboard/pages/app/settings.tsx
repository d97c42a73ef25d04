import { LIMIT_FIELDS, RUN_FIELDS, SLEEP_FIELDS } from './settings/definition-groups.ts'
import { DefinitionSection } from './settings/definition-section.tsx'
import type { TabProps } from './tab-props.ts'

/** The tab with all settings of an app, a form for each subject. */
export function SettingsTab({ facts, app }: TabProps) {
  return (
    <>
      <DefinitionSection
        facts={facts}
        app={app}
        title="How it runs"
        says="Saving makes a release. An app that is awake is switched to it; one that sleeps gets it at its next wake."
        fields={RUN_FIELDS}
      />
      <DefinitionSection
        facts={facts}
        app={app}
        title="Memory and processors"
        says="The most that an instance may use. Saving makes a release."
        fields={LIMIT_FIELDS}
      />
      <DefinitionSection
        facts={facts}
        app={app}
        title="Sleep"
        says="When the app sleeps, and how it is stopped. Saving makes a release."
        fields={SLEEP_FIELDS}
      />
    </>
  )
}
