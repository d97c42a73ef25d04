import { useState } from 'preact/hooks'
import { call } from '../../api.ts'
import { CardTable } from '../../components/card-table.tsx'
import { CommandLine } from '../../components/command-line.tsx'
import { Confirm } from '../../components/confirm.tsx'
import { Dialog } from '../../components/dialog.tsx'
import { Failure } from '../../components/failure.tsx'
import { ChoiceField, Fields, NumberField, TextField } from '../../components/field.tsx'
import { Form } from '../../components/form.tsx'
import { Section } from '../../components/section.tsx'
import { toast } from '../../components/toasts.tsx'
import { useForm } from '../../components/use-form.ts'
import { session } from '../../session.ts'
import { useStore } from '../../store.ts'
import { useCall } from '../../use-call.ts'
import { Meter } from '../nodes/meter.tsx'
import { budgetCommand, EMPTY, limitsOf } from './budget-form.ts'

const STATES = { ok: 'ok', near: 'nearly spent', spent: 'spent: its apps sleep until next month' } as const

/** Budgets, and how much of them is spent in this month. */
export function BudgetsSection() {
  const loaded = useCall(signal => call('listBudgets', { signal }), [])
  const isAdmin = useStore(session)?.role === 'admin'
  const [isOpen, setOpen] = useState(false)
  const [removed, setRemoved] = useState<{ readonly kind: 'app' | 'owner'; readonly name: string }>()
  const { value, error, reload } = loaded
  return (
    <Section
      title="Budgets"
      says="What an app, or all apps of an owner together, may use in a month of UTC. At the limit they sleep until the next one."
      actions={
        isAdmin && (
          <button type="button" onClick={() => setOpen(true)}>
            Set a budget
          </button>
        )
      }
    >
      {error && <Failure error={error} retry={reload} />}
      {value?.items.length === 0 && <p class="faint">No budget is set.</p>}
      {value !== undefined && value.items.length > 0 && (
        <CardTable caption="Budgets" columns={['Of', 'Spent', 'Which is', 'State']}>
          {value.items.map(({ kind, name, share, says, state }) => (
            <tr key={`${kind} ${name}`}>
              <th scope="row">{kind === 'app' ? name : `owner ${name}`}</th>
              <td data-label="Spent">
                {Math.round(share * 100)} %
                <Meter share={share} says={`spent of the budget of ${name}`} />
              </td>
              <td data-label="Which is">{says}</td>
              <td data-label="State">{STATES[state]}</td>
              <td class="actions">
                {isAdmin && (
                  <button
                    type="button"
                    class="quiet"
                    aria-label={`Remove the budget of ${name}`}
                    onClick={() => setRemoved({ kind, name })}
                  >
                    Remove
                  </button>
                )}
              </td>
            </tr>
          ))}
        </CardTable>
      )}
      <CommandLine command="shadow budget ls" />
      {isOpen && <BudgetDialog onClose={() => setOpen(false)} changed={reload} />}
      {removed && (
        <Confirm
          title={`Remove the budget of ${removed.name}?`}
          action="Remove the budget"
          command={`shadow budget rm ${removed.kind === 'owner' ? '--owner ' : ''}${removed.name}`}
          onClose={() => setRemoved(undefined)}
          run={async () => {
            await call('removeBudget', { params: removed })
            toast(`The budget of ${removed.name} is removed`)
            reload()
          }}
        >
          <p>What it kept asleep may be woken again.</p>
        </Confirm>
      )}
    </Section>
  )
}

function BudgetDialog({ onClose, changed }: { onClose: () => void; changed: () => void }) {
  const form = useForm(EMPTY)
  const { kind, name } = form.values
  const run = async (): Promise<void> => {
    const params = { kind: kind === 'owner' ? ('owner' as const) : ('app' as const), name: name.trim() }
    await call('setBudget', { params, body: limitsOf(form.values) })
    toast(`The budget of ${name} is set`)
    changed()
    onClose()
  }
  return (
    <Dialog title="Set a budget" onClose={onClose}>
      <Form
        form={form}
        action="Set the budget"
        command={budgetCommand(form.values)}
        run={run}
        isReady={name.trim() !== ''}
      >
        <Fields>
          <ChoiceField
            name="kind"
            label="Of"
            choices={[
              ['app', 'an app'],
              ['owner', 'an owner'],
            ]}
          />
          <TextField name="name" label="Name" />
          <NumberField name="awakeHours" label="Awake hours" />
          <NumberField name="cpuHours" label="Processor hours" />
          <NumberField name="requests" label="Requests" />
          <NumberField name="egressGiB" label="Sent, GiB" />
          <NumberField name="cost" label="Cost" hint="by SHADOW_PRICES" />
        </Fields>
      </Form>
    </Dialog>
  )
}
