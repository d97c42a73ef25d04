import { SCALE_DEFAULTS } from '../../../../model/scale.ts'
import { Fields, NumberField, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { changeApp } from '../change-app.ts'
import type { TabProps } from '../tab-props.ts'
import { scaleBody, scaleCommand, scaleTexts } from './rules.ts'

/** How many instances the app has. */
export function ScaleSection({ facts, app }: TabProps) {
  const form = useForm(scaleTexts(app))
  const hasVolume = app.task.volume !== undefined
  const save = async (): Promise<void> => {
    const { values } = form
    await changeApp(facts, { call: 'setScale', body: () => scaleBody(values), seen: scaleTexts })
    toast('Scale: saved')
  }
  const { soft, hard } = SCALE_DEFAULTS.concurrency
  return (
    <Section
      title="Scale"
      says={
        hasVolume
          ? 'An app with a volume has one instance. With at least 1 it is kept awake, used or not.'
          : 'How many instances run, by the load. A change restarts nothing.'
      }
    >
      <Form form={form} action="Save" command={scaleCommand(app.name, form.values)} run={save}>
        <Fields>
          <NumberField name="min" label="At least" hint="So many are kept awake, used or not. 0: it may sleep." />
          <NumberField name="max" label="At most" hint={hasVolume ? '1 for an app with a volume.' : undefined} />
          {!hasVolume && (
            <>
              <TextField
                name="concurrency"
                label="Requests in flight of each"
                hint={`Soft:hard. Above soft another one starts, none gets more than hard. Empty: ${soft}:${hard}.`}
              />
              <NumberField
                name="cpu"
                label="Processor of each"
                hint={`Percent, above which another one starts. Empty: ${SCALE_DEFAULTS.cpu}.`}
              />
            </>
          )}
        </Fields>
      </Form>
    </Section>
  )
}
