import { useState } from 'preact/hooks'
import { type Schedule, type ScheduleRun, sayAction } from '../../../../model/schedule.ts'
import { type ApiError, call } from '../../../api.ts'
import { CardTable } from '../../../components/card-table.tsx'
import { Confirm } from '../../../components/confirm.tsx'
import { Failure } from '../../../components/failure.tsx'
import { ChoiceField, Fields, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { Time } from '../../../components/time.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { useCall } from '../../../use-call.ts'
import type { TabProps } from '../tab-props.ts'
import { NEW_SCHEDULE, scheduleBody, scheduleCommand } from './schedule-texts.ts'

type Shown = Schedule & { readonly next: string | null }
type AddBody = Parameters<typeof call<'addSchedule'>>[1]['body']

/** What happens to the app at given times. */
export function SchedulesSection({ app: { name } }: Pick<TabProps, 'app'>) {
  const list = useCall(signal => call('listSchedules', { params: { app: name }, signal }), [name], { everyMs: 15_000 })
  const form = useForm(NEW_SCHEDULE)
  const { kind } = form.values
  const add = async (): Promise<void> => {
    await call('addSchedule', { params: { app: name }, body: scheduleBody(form.values) as AddBody })
    list.reload()
    toast('Schedule: added')
  }
  return (
    <Section
      title="Schedules"
      says="At these times the app is woken, gets a request, or a command is run in its container."
    >
      {list.error && <Failure error={list.error} retry={list.reload} />}
      <CardTable columns={['Times', 'What', 'Next', 'Last run']}>
        {list.value?.items.length === 0 && (
          <tr>
            <td colSpan={5} class="faint">
              No schedules yet.
            </td>
          </tr>
        )}
        {list.value?.items.map(schedule => (
          <Row key={schedule.id} app={name} schedule={schedule} onDone={list.reload} />
        ))}
      </CardTable>
      <Form form={form} action="Add" command={scheduleCommand(name, form.values)} run={add}>
        <Fields>
          <TextField name="cron" label="Times" hint="Minute, hour, day, month and weekday." placeholder="0 3 * * *" />
          <TextField name="zone" label="Time zone" placeholder="Europe/Berlin" />
          <ChoiceField
            name="kind"
            label="What is done"
            choices={[
              ['wake', 'wake it, and keep it awake'],
              ['request', 'send it a request'],
              ['command', 'run a command in it'],
            ]}
          />
          {kind === 'wake' && (
            <>
              <TextField name="for" label="Awake for" />
              <TextField name="ahead" label="Woken ahead by" hint="Empty: at the time." placeholder="2m" />
            </>
          )}
          {kind === 'request' && <TextField name="path" label="Path" hint="It gets a GET." />}
          {kind === 'command' && <TextField name="command" label="Command" placeholder="node report.js" />}
          <TextField name="within" label="Deadline of a run" hint="1h at most." />
        </Fields>
      </Form>
    </Section>
  )
}

function Row({ app, schedule, onDone }: { app: string; schedule: Shown; onDone: () => void }) {
  const [asked, setAsked] = useState<'run' | 'remove'>()
  const { id, cron, zone, action, next, runs } = schedule
  const run = async (): Promise<void> => {
    // A run may take up to an hour, and its result is in the list: the page does not wait for it.
    call('runSchedule', { params: { app, schedule: id } })
      .catch((error: ApiError) => toast(`${id}: ${error.message}`, 'failed'))
      .finally(onDone)
    toast(`Schedule ${id}: started`)
  }
  return (
    <tr>
      <th scope="row">
        <code>{cron}</code>
        <span class="faint about">{zone}</span>
      </th>
      <td class="breaks" data-label="What">
        {sayAction(action)}
      </td>
      <td data-label="Next">{next === null ? 'never' : <Time at={next} />}</td>
      <td data-label="Last run">
        {runs[0] === undefined ? <span class="faint">none yet</span> : <LastRun run={runs[0]} />}
      </td>
      <td class="variable-actions">
        <button type="button" class="quiet" aria-label={`Run now: ${id}`} onClick={() => setAsked('run')}>
          Run now
        </button>
        <button type="button" class="quiet" aria-label={`Remove ${id}`} onClick={() => setAsked('remove')}>
          Remove
        </button>
        {asked === 'run' && (
          <Confirm
            title="Run it now"
            action="Run"
            command={`shadow schedule run ${app} ${id}`}
            onClose={() => setAsked(undefined)}
            run={run}
          >
            <p>It does now what it does at its times: {sayAction(action)}. An app that sleeps is woken for it.</p>
          </Confirm>
        )}
        {asked === 'remove' && (
          <Confirm
            title="Remove the schedule"
            action="Remove"
            command={`shadow schedule rm ${app} ${id}`}
            onClose={() => setAsked(undefined)}
            run={async () => {
              await call('removeSchedule', { params: { app, schedule: id } })
              onDone()
            }}
          >
            <p>
              <code>{cron}</code>: {sayAction(action)}. A run under way goes on.
            </p>
          </Confirm>
        )}
      </td>
    </tr>
  )
}

function LastRun({ run: { outcome, startedAt, detail, status, exitCode, lastLines } }: { run: ScheduleRun }) {
  const isBad = outcome === 'failed' || outcome === 'lost' || outcome === 'missed'
  const result = status ?? (exitCode === undefined ? undefined : `exit ${exitCode}`)
  return (
    <span title={[detail, lastLines].filter(Boolean).join('\n')}>
      <span class={isBad ? 'bad' : undefined}>{outcome}</span>
      {result !== undefined && ` (${result})`} <Time at={startedAt} />
    </span>
  )
}
