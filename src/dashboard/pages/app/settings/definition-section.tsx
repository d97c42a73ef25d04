import type { App } from '../../../../model/app.ts'
import { ChoiceField, Fields, LinesField, NumberField, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import type { AppFacts } from '../../../use-app.ts'
import { changeApp } from '../change-app.ts'
import { type DefinitionField, patchOf, type Texts, textsOf, updateCommand } from './definition-fields.ts'

type Props = {
  readonly facts: AppFacts
  readonly app: App
  readonly title: string
  readonly says: string
  readonly fields: readonly DefinitionField[]
}

/** Fields of the definition. Saving sends only those that were changed, and makes a release. */
export function DefinitionSection({ facts, app, title, says, fields }: Props) {
  const form = useForm(textsOf(app, fields))
  const { command, without } = updateCommand(app.name, form.changed as Texts, fields)
  const save = async (): Promise<void> => {
    const patch = patchOf(form.changed as Texts, fields)
    await changeApp(facts, { call: 'updateApp', body: () => patch, seen: now => textsOf(now, fields) })
    toast(`${title}: saved`)
  }
  return (
    <Section title={title} says={says}>
      <Form form={form} action="Save" command={command} run={save}>
        <Fields>
          {fields.map(field => (
            <OneField key={field.name} field={field} />
          ))}
        </Fields>
        {without.length > 0 && (
          <p class="faint">
            No flag of the command takes this away: {without.join(', ')}. A manifest without it does: shadow deploy.
          </p>
        )}
      </Form>
    </Section>
  )
}

function OneField({ field: { name, label, hint, kind, choices, placeholder } }: { field: DefinitionField }) {
  const props = { name, label, ...(hint !== undefined && { hint }), ...(placeholder !== undefined && { placeholder }) }
  if (choices !== undefined) return <ChoiceField name={name} label={label} hint={hint} choices={choices} />
  if (kind === 'words') return <LinesField {...props} rows={2} />
  if (kind === 'lines') return <LinesField {...props} rows={2} />
  return kind === 'number' ? <NumberField {...props} /> : <TextField {...props} isLong={name === 'image'} />
}
