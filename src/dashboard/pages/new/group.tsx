import { Fields, isAbout, LinesField, NumberField, TextField } from '../../components/field.tsx'
import type { FormState } from '../../components/use-form.ts'
import type { Values } from './definition.ts'
import { faultWhileTyped } from './faults.ts'
import { FIELDS, type FieldName, type Group } from './fields.ts'

type Form = FormState<Values>

/** One field of the form; what is wrong with it is told while it is typed. */
export function NewField({ name, form }: { name: FieldName; form: Form }) {
  const { label, hint, placeholder, kind } = FIELDS[name]
  const isTold = form.error?.faults.some(({ field }) => isAbout(name, field)) ?? false
  const fault = isTold ? undefined : faultWhileTyped(name, form.values[name])
  const props = {
    name,
    label,
    hint: fault === undefined ? hint : <span class="bad">{fault}</span>,
    ...(placeholder !== undefined && { placeholder }),
  }
  if (kind === 'lines') return <LinesField {...props} />
  return kind === 'number' ? <NumberField {...props} /> : <TextField {...props} />
}

/** Fields that are folded, unless the master has found a fault in one of them. */
export function FieldGroup({ group: { title, fields }, form }: { group: Group; form: Form }) {
  const isFaulty = fields.some(name => form.error?.faults.some(({ field }) => isAbout(name, field)))
  const given = fields.filter(name => form.values[name].trim() !== '').map(name => FIELDS[name].label.toLowerCase())
  return (
    <details class="fold" {...(isFaulty && { open: true })}>
      <summary>
        {title} {given.length > 0 && <span class="faint">{given.join(', ')} set</span>}
      </summary>
      <Fields>
        {fields.map(name => (
          <NewField key={name} name={name} form={form} />
        ))}
      </Fields>
    </details>
  )
}
