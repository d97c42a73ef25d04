import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { changeApp } from '../change-app.ts'
import type { TabProps } from '../tab-props.ts'
import { envCommand, variableChanges } from './variable-changes.ts'
import { Variables } from './variables.tsx'

/** The environment of the app. */
export function EnvSection({ facts, app }: TabProps) {
  const form = useForm({})
  const changes = variableChanges(form.changed)
  const stored = Object.entries(app.task.env).map(([name, digest]) => ({ name, digest }))
  const save = async (): Promise<void> => {
    await changeApp(facts, { call: 'updateApp', body: () => ({ env: changes }), seen: ({ task }) => task.env })
    toast('Environment: saved')
  }
  return (
    <Section
      title="Environment"
      says="Values are not shown, only their digests. Saving makes a release. What nobody may read belongs to the secrets."
    >
      <Form form={form} action="Save" command={envCommand(app.name, changes)} run={save}>
        <Variables stored={stored} what="variable" isSecret={false} />
      </Form>
    </Section>
  )
}
