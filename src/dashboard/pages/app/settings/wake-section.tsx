import { Fields, LinesField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { changeApp } from '../change-app.ts'
import type { TabProps } from '../tab-props.ts'
import { wakeBody, wakeCommand, wakeTexts } from './rules.ts'

/** Which requests do not wake the app. */
export function WakeSection({ facts, app }: TabProps) {
  const form = useForm(wakeTexts(app))
  const save = async (): Promise<void> => {
    const { values } = form
    await changeApp(facts, { call: 'setWakeRules', body: () => wakeBody(values), seen: wakeTexts })
    toast('Wake rules: saved')
  }
  return (
    <Section
      title="Wake rules"
      says="Requests that do not wake the app and do not keep it awake. Fronts apply them; a change restarts nothing."
    >
      <Form form={form} action="Save" command={wakeCommand(app.name, form.values)} run={save}>
        <Fields>
          <LinesField
            name="ignore"
            label="Requests that do not wake it"
            hint="A rule a line, with one or more of path:, agent:, method: and network:. A request matches if all of them do."
            placeholder={'path:/wp-*\nmethod:HEAD agent:bot'}
          />
          <LinesField
            name="answers"
            label="Last answers"
            hint="Paths, besides /robots.txt and /favicon.ico, whose last answer is given while the app sleeps."
            placeholder="/healthz"
            rows={2}
          />
        </Fields>
      </Form>
    </Section>
  )
}
