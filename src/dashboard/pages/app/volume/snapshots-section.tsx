import { useState } from 'preact/hooks'
import { sayToken } from '../../../../model/say-release.ts'
import type { Snapshot } from '../../../../model/snapshot.ts'
import { call } from '../../../api.ts'
import { CardTable } from '../../../components/card-table.tsx'
import { Confirm } from '../../../components/confirm.tsx'
import { Failure } from '../../../components/failure.tsx'
import { Fields, NumberField, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { Time } from '../../../components/time.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { sayBytes, sayMs } from '../../../format.ts'
import { shellWords } from '../../../shell-words.ts'
import { useCall } from '../../../use-call.ts'
import { ForkDialog } from './fork-dialog.tsx'

type Props = { readonly app: string; readonly onChange: () => void }
type Asked = { readonly what: 'restore' | 'fork' | 'remove'; readonly snapshot: Snapshot }

/** The snapshots of the volume. */
export function SnapshotsSection({ app, onChange }: Props) {
  const params = { volume: app }
  const list = useCall(signal => call('listSnapshots', { params, signal }), [app], { everyMs: 30_000 })
  const [asked, setAsked] = useState<Asked>()
  const form = useForm({ name: '', note: '', keep: '' })
  const { name, note, keep } = form.values
  const done = (): void => {
    list.reload()
    onChange()
  }
  const take = async (): Promise<void> => {
    const taken = await call('takeSnapshot', {
      params,
      body: {
        ...(name.trim() !== '' && { name: name.trim() }),
        ...(note.trim() !== '' && { note: note.trim() }),
        ...(keep.trim() !== '' && { keep: Number(keep) }),
      },
    })
    done()
    toast(
      `Snapshot ${taken.id}: taken${taken.frozenMs === undefined ? '' : `; writes waited ${sayMs(taken.frozenMs)}`}`,
    )
  }
  const close = (): void => setAsked(undefined)
  return (
    <Section
      title="Snapshots"
      says="The volume at one moment, kept beside it. Taking one wakes nothing, and an app that is awake serves on."
    >
      {list.error && <Failure error={list.error} retry={list.reload} />}
      <CardTable columns={['Snapshot', 'Taken', 'Size', 'Note']}>
        {list.value?.items.length === 0 && (
          <tr>
            <td colSpan={5} class="faint">
              No snapshots yet.
            </td>
          </tr>
        )}
        {list.value?.items.map(snapshot => (
          <Row key={snapshot.id} snapshot={snapshot} onAsk={what => setAsked({ what, snapshot })} />
        ))}
      </CardTable>
      <Form
        form={form}
        action="Take a snapshot"
        isReady
        command={shellWords(
          ...['shadow', 'volume', 'snapshot', app],
          ...(name.trim() === '' ? [] : ['--name', name.trim()]),
          ...(note.trim() === '' ? [] : ['--note', note.trim()]),
          ...(keep.trim() === '' ? [] : ['--keep', keep.trim()]),
        )}
        run={take}
      >
        <Fields>
          <TextField name="name" label="Name" hint="Empty: the time." placeholder="before-upgrade" />
          <TextField name="note" label="Note" />
          <NumberField name="keep" label="Keep at most" hint="Older ones are removed. Empty: all are kept." />
        </Fields>
      </Form>
      {asked?.what === 'restore' && (
        <Confirm
          title={`Restore the snapshot ${asked.snapshot.id}`}
          action="Restore"
          typed={app}
          command={shellWords('shadow', 'volume', 'restore', app, asked.snapshot.id)}
          onClose={close}
          run={async () => {
            const { kept } = await call('restoreVolume', { params, body: { snapshot: asked.snapshot.id } })
            done()
            toast(`The volume of ${app} is as it was${kept === null ? '' : `; what it had is the snapshot ${kept}`}`)
          }}
        >
          <p>
            The volume gets the data of <Time at={asked.snapshot.takenAt} />. {app} is put to sleep for that, and its
            next request wakes it. What the volume has now becomes a snapshot.
          </p>
        </Confirm>
      )}
      {asked?.what === 'remove' && (
        <Confirm
          title={`Delete the snapshot ${asked.snapshot.id}`}
          action="Delete"
          typed={asked.snapshot.id}
          command={shellWords('shadow', 'volume', 'rm-snapshot', app, asked.snapshot.id)}
          onClose={close}
          run={async () => {
            await call('removeSnapshot', { params: { volume: app, snapshot: asked.snapshot.id } })
            done()
          }}
        >
          <p>Its data cannot be brought back. The volume itself stays as it is.</p>
        </Confirm>
      )}
      {asked?.what === 'fork' && <ForkDialog app={app} snapshot={asked.snapshot.id} onClose={close} />}
    </Section>
  )
}

function Row({ snapshot, onAsk }: { snapshot: Snapshot; onAsk: (what: Asked['what']) => void }) {
  const { id, takenAt, state, reason, by, note, bytes, size } = snapshot
  const isReady = state === 'ready'
  return (
    <tr>
      <th scope="row" class="breaks">
        {id}
        {!isReady && <span class="faint about">{state === 'taking' ? 'being taken' : 'being stored'}</span>}
        {reason !== 'asked' && <span class="faint about">{REASONS[reason]}</span>}
      </th>
      <td data-label="Taken">
        <Time at={takenAt} />
        <span class="faint about">by {sayToken(by)}</span>
      </td>
      <td class="num" data-label="Size">
        {bytes === undefined ? size : sayBytes(bytes)}
      </td>
      <td class="breaks" data-label="Note">
        {note ?? <span class="faint">–</span>}
      </td>
      <td class="variable-actions">
        <button
          type="button"
          class="quiet"
          disabled={!isReady}
          onClick={() => onAsk('restore')}
          aria-label={`Restore ${id}`}
        >
          Restore
        </button>
        <button type="button" class="quiet" disabled={!isReady} onClick={() => onAsk('fork')} aria-label={`Fork ${id}`}>
          Fork
        </button>
        <button type="button" class="quiet" onClick={() => onAsk('remove')} aria-label={`Delete ${id}`}>
          Delete
        </button>
      </td>
    </tr>
  )
}

const REASONS: Readonly<Record<Snapshot['reason'], string>> = {
  asked: '',
  restore: 'what a restore replaced',
  fork: 'for a fork',
  app: 'the app asked for it',
}
