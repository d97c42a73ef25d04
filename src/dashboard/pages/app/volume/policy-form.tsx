import { type BackupPolicy, KEEP_RULES, sayPolicy } from '../../../../model/backup-policy.ts'
import { call } from '../../../api.ts'
import { CheckField, Fields, NumberField, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { policyBody, policyCommand, policyTexts } from './backup-texts.ts'

type Props = { readonly app: string; readonly policy: BackupPolicy | null; readonly onDone: () => void }
type Body = Parameters<typeof call<'setBackupPolicy'>>[1]['body']

/** When the app is backed up by itself, and which backups are kept. */
export function PolicyForm({ app, policy, onDone }: Props) {
  const stored = policyTexts(policy)
  const form = useForm(stored)
  const save = async (): Promise<void> => {
    await call('setBackupPolicy', { params: { app }, body: policyBody(form.values) as Body })
    onDone()
    toast('Backup policy: saved')
  }
  return (
    <details>
      <summary>Policy: {sayPolicy(policy)}</summary>
      <Form form={form} action="Save" command={policyCommand(app, form.values, stored)} run={save}>
        <Fields>
          <TextField name="policy.every" label="Backed up every" hint="Empty: only when told to." placeholder="1d" />
          <TextField name="policy.verify" label="Tested every" hint="Empty: never." placeholder="7d" />
          <CheckField
            name="policy.beforeDeploy"
            label="Before each change"
            hint="A change of the definition fails if the backup fails."
          />
          {KEEP_RULES.map(rule => (
            <NumberField
              key={rule}
              name={`policy.keep.${rule}`}
              label={rule === 'last' ? 'Keep the last' : `Keep ${rule}`}
            />
          ))}
        </Fields>
        <p class="faint">No rule: all are kept. Backups that a person has asked for always are.</p>
      </Form>
    </details>
  )
}
