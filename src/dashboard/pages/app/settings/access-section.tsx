import { ChoiceField, Fields, LinesField, NumberField, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { changeApp } from '../change-app.ts'
import type { TabProps } from '../tab-props.ts'
import { accessBody, accessCommand, accessTexts } from './rules.ts'

/** Who may use the app, and how much. */
export function AccessSection({ facts, app }: TabProps) {
  const form = useForm(accessTexts(app))
  const save = async (): Promise<void> => {
    const { values } = form
    await changeApp(facts, { call: 'setAccess', body: () => accessBody(values), seen: accessTexts })
    toast('Access rules: saved')
  }
  return (
    <Section
      title="Access rules"
      says="Who may use the app, and how much. Fronts apply them before the app is woken; a change restarts nothing."
    >
      <Form form={form} action="Save" command={accessCommand(app.name, form.values)} run={save}>
        <Fields>
          <LinesField
            name="allow"
            label="Only these networks"
            hint="One a line. Empty: everybody."
            placeholder="10.0.0.0/8"
          />
          <LinesField name="deny" label="Not these networks" hint="One a line. Wins over the list above." />
          <TextField
            name="rate"
            label="Requests of all clients"
            hint="100/s, 600/m, 100/s burst 200. Empty: no limit."
          />
          <TextField
            name="ratePerClient"
            label="Requests of each client"
            hint="An IPv4 address, or a /64 of IPv6. Empty: no limit."
          />
          <NumberField name="inFlight" label="Requests at a time" hint="More wait. Empty: the default." />
          <TextField name="answerWithin" label="First byte within" hint="30s, 5m, never. Empty: the default." />
          <ChoiceField
            name="https"
            label="Visitors of plain HTTP"
            choices={[
              ['', 'as the front says'],
              ['redirect', 'are sent on to HTTPS'],
              ['both', 'are served'],
            ]}
          />
          <TextField name="hsts" label="Browsers use HTTPS only for" hint="365d, off. Empty: as the front says." />
        </Fields>
      </Form>
    </Section>
  )
}
