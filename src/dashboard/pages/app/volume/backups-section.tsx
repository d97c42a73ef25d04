import { useState } from 'preact/hooks'
import type { CallAnswer } from '../../../../api/call-shape.ts'
import type { masterCalls } from '../../../../api/master-calls.ts'
import { type Backup, sayRun, shortId } from '../../../../model/backup.ts'
import { call } from '../../../api.ts'
import { CardTable } from '../../../components/card-table.tsx'
import { Confirm } from '../../../components/confirm.tsx'
import { Failure } from '../../../components/failure.tsx'
import { Section } from '../../../components/section.tsx'
import { Time, useNow } from '../../../components/time.tsx'
import { toast } from '../../../components/toasts.tsx'
import { sayBytes, sayMs } from '../../../format.ts'
import { shellWords } from '../../../shell-words.ts'
import { useCall } from '../../../use-call.ts'
import { type RestoreTest, restoreTest } from './backup-texts.ts'
import { Facts } from './facts.tsx'
import { PolicyForm } from './policy-form.tsx'

type Backups = CallAnswer<(typeof masterCalls)['listBackups']>
type Asked = 'backup' | 'verify' | { readonly what: 'restore' | 'remove'; readonly backup: Backup }

const NONE: Backups = {
  volume: '',
  items: [],
  storedBytes: 0,
  policy: null,
  run: null,
  verified: null,
  failure: null,
}

/** The backups of the volume, their policy, and how old the last restore is that was tested. */
export function BackupsSection({ app, onChange }: { app: string; onChange: () => void }) {
  const params = { app }
  const list = useCall(signal => call('listBackups', { params, signal }), [app], { everyMs: 10_000 })
  const [asked, setAsked] = useState<Asked>()
  // An app that was never backed up has no record yet.
  const isNew = list.error?.code === 'not-found'
  const backups = list.value ?? (isNew ? NONE : undefined)
  const close = (): void => setAsked(undefined)
  const done = (text: string): void => {
    list.reload()
    onChange()
    toast(text)
  }
  return (
    <Section
      title="Backups"
      says="Copies in the store of the masters, encrypted, which outlive the node and the app."
      actions={
        <>
          <button type="button" onClick={() => setAsked('verify')} disabled={(backups?.items.length ?? 0) === 0}>
            Test the newest
          </button>
          <button type="button" class="primary" onClick={() => setAsked('backup')}>
            Back up now
          </button>
        </>
      }
    >
      {list.error && !isNew && <Failure error={list.error} retry={list.reload} />}
      {backups !== undefined && (
        <>
          <Standing backups={backups} />
          <List items={backups.items} onAsk={(what, backup) => setAsked({ what, backup })} />
          <PolicyForm app={app} policy={backups.policy} onDone={list.reload} />
        </>
      )}
      {asked === 'backup' && (
        <Confirm
          title={`Back ${app} up now`}
          action="Back up"
          command={shellWords('shadow', 'backup', app)}
          onClose={close}
          run={async () => {
            const { backup } = await call('backUpApp', { params })
            done(`Backup ${shortId(backup)}: made, ${sayBytes(backup.addedBytes)} added`)
          }}
        >
          <p>The app is not woken, and serves on if it is awake. A large volume takes a while.</p>
        </Confirm>
      )}
      {asked === 'verify' && (
        <Confirm
          title="Test the newest backup"
          action="Test"
          command={shellWords('shadow', 'backup', 'verify', app)}
          onClose={close}
          run={async () => {
            const { backup, ms } = await call('verifyBackup', { params })
            done(`Backup ${shortId(backup)}: restored for a test in ${sayMs(ms)}, and whole`)
          }}
        >
          <p>
            It is restored to a temporary file, its filesystem is checked, and it is compared with what was backed up.
          </p>
        </Confirm>
      )}
      {typeof asked === 'object' && asked.what === 'restore' && (
        <Confirm
          title={`Restore the backup ${shortId(asked.backup)}`}
          action="Restore"
          typed={app}
          command={shellWords('shadow', 'restore', app, shortId(asked.backup))}
          onClose={close}
          run={async () => {
            const { heldMs } = await call('restoreApp', { params, body: { backup: asked.backup.id } })
            done(`${app} has the backup ${shortId(asked.backup)}; it could not serve for ${sayMs(heldMs)}`)
          }}
        >
          <p>
            The volume gets the data of <Time at={asked.backup.at} />. The backup is checked beside the volume first;
            then {app} is put to sleep, and its next request wakes it. What the volume has now is kept as a snapshot for
            a day: shadow restore {app} --undo brings it back.
          </p>
        </Confirm>
      )}
      {typeof asked === 'object' && asked.what === 'remove' && (
        <Confirm
          title={`Delete the backup ${shortId(asked.backup)}`}
          action="Delete"
          typed={shortId(asked.backup)}
          command={shellWords('shadow', 'backup', 'rm', app, shortId(asked.backup))}
          onClose={close}
          run={async () => {
            await call('removeBackup', { params: { app, backup: asked.backup.id } })
            done(`Backup ${shortId(asked.backup)}: deleted`)
          }}
        >
          <p>It cannot be restored any more. Its space is free after the next pruning.</p>
        </Confirm>
      )}
    </Section>
  )
}

const TESTS: Readonly<Record<RestoreTest, string>> = {
  none: 'there is no backup yet',
  never: 'no backup was ever restored for a test',
  old: 'too long ago',
  good: '',
}

function Standing({ backups: { items, storedBytes, policy, run, verified, failure } }: { backups: Backups }) {
  const state = restoreTest(verified, items, policy, useNow())
  const isBad = state === 'never' || state === 'old'
  return (
    <>
      {run !== null && (
        <p class="note" role="status">
          It is being {sayRun(run.kind)} on {run.node} since <Time at={run.since} />.
        </p>
      )}
      {failure !== null && (
        <div class="failure">
          <p>
            <strong>It could not be {sayRun(failure.kind)}</strong> <Time at={failure.at} />
          </p>
          <p>{failure.problem.detail}</p>
        </div>
      )}
      <Facts
        rows={[
          ['Newest', items[0] === undefined ? 'none yet' : <Time key="newest" at={items[0].at} />],
          [
            'Last tested restore',
            <span key="verified">
              {verified !== null && <Time at={verified.at} />}{' '}
              {state !== 'good' && <span class={isBad ? 'mark old' : 'faint'}>{TESTS[state]}</span>}
            </span>,
          ],
          ['In the store', sayBytes(storedBytes)],
        ]}
      />
    </>
  )
}

const REASONS: Readonly<Record<Backup['why'], string>> = {
  asked: 'asked for',
  scheduled: 'by the policy',
  deploy: 'before a change',
}

type ListProps = {
  readonly items: readonly Backup[]
  readonly onAsk: (what: 'restore' | 'remove', backup: Backup) => void
}

function List({ items, onAsk }: ListProps) {
  return (
    <CardTable columns={['Backup', 'Made', 'Why', 'Data', 'Added']}>
      {items.length === 0 && (
        <tr>
          <td colSpan={6} class="faint">
            No backups yet.
          </td>
        </tr>
      )}
      {items.map(backup => (
        <tr key={backup.id}>
          <th scope="row">
            <code>{shortId(backup)}</code>
          </th>
          <td data-label="Made">
            <Time at={backup.at} />
          </td>
          <td data-label="Why">{REASONS[backup.why]}</td>
          <td class="num" data-label="Data">
            {sayBytes(backup.dataBytes)}
          </td>
          <td class="num" data-label="Added">
            {sayBytes(backup.addedBytes)}
          </td>
          <td class="variable-actions">
            <button
              type="button"
              class="quiet"
              onClick={() => onAsk('restore', backup)}
              aria-label={`Restore ${shortId(backup)}`}
            >
              Restore
            </button>
            <button
              type="button"
              class="quiet"
              onClick={() => onAsk('remove', backup)}
              aria-label={`Delete ${shortId(backup)}`}
            >
              Delete
            </button>
          </td>
        </tr>
      ))}
    </CardTable>
  )
}
