import { useState } from 'preact/hooks'
import { call } from '../../api.ts'
import { CardTable } from '../../components/card-table.tsx'
import { Confirm } from '../../components/confirm.tsx'
import { Dialog } from '../../components/dialog.tsx'
import { Failure } from '../../components/failure.tsx'
import { Fields, LinesField, TextField } from '../../components/field.tsx'
import { Form } from '../../components/form.tsx'
import { Section } from '../../components/section.tsx'
import { Time } from '../../components/time.tsx'
import { toast } from '../../components/toasts.tsx'
import { useForm } from '../../components/use-form.ts'
import { linesOf } from '../../lines.ts'
import { shellWords } from '../../shell-words.ts'
import { useCall } from '../../use-call.ts'

/** The public keys of people who open apps by SSH. */
export function KeysSection() {
  const { value, error, reload } = useCall(signal => call('listSshKeys', { signal }), [])
  const [isOpen, setOpen] = useState(false)
  const [removed, setRemoved] = useState<string>()
  return (
    <Section
      title="SSH keys"
      says={
        value?.host === null
          ? 'No master serves SSH yet: set SHADOW_SSH for one.'
          : value && (
              <>
                Host key of the SSH server: <code>{value.host}</code>
              </>
            )
      }
      actions={
        <button type="button" onClick={() => setOpen(true)}>
          Add a key
        </button>
      }
    >
      {error && <Failure error={error} retry={reload} />}
      {value?.items.length === 0 && <p class="faint">No key opens an app yet.</p>}
      {value !== undefined && value.items.length > 0 && (
        <CardTable caption="SSH keys" columns={['Name', 'Apps', 'Kind', 'Fingerprint', 'Added']}>
          {value.items.map(({ name, apps, algorithm, fingerprint, createdAt }) => (
            <tr key={name}>
              <th scope="row" class="wraps">
                {name}
              </th>
              <td class="wraps" data-label="Apps">
                {apps?.join(', ') ?? 'all'}
              </td>
              <td data-label="Kind">{algorithm}</td>
              <td class="wraps" data-label="Fingerprint">
                <code>{fingerprint}</code>
              </td>
              <td data-label="Added">
                <Time at={createdAt} />
              </td>
              <td class="actions">
                <button
                  type="button"
                  class="quiet"
                  aria-label={`Remove the key ${name}`}
                  onClick={() => setRemoved(name)}
                >
                  Remove
                </button>
              </td>
            </tr>
          ))}
        </CardTable>
      )}
      {isOpen && <KeyDialog onClose={() => setOpen(false)} changed={reload} />}
      {removed !== undefined && (
        <Confirm
          title={`Remove the key ${removed}?`}
          action="Remove the key"
          command={shellWords('shadow', 'keys', 'rm', removed)}
          onClose={() => setRemoved(undefined)}
          run={async () => {
            await call('removeSshKey', { params: { key: removed } })
            toast(`The key ${removed} opens nothing any more`)
            reload()
          }}
        >
          <p>It opens nothing any more. Its open connections end within 30 s.</p>
        </Confirm>
      )}
    </Section>
  )
}

function KeyDialog({ onClose, changed }: { onClose: () => void; changed: () => void }) {
  const form = useForm({ name: '', publicKey: '', apps: '' })
  const { name, publicKey, apps } = form.values
  const chosen = linesOf(apps)
  const run = async (): Promise<void> => {
    const body = { name: name.trim(), publicKey: publicKey.trim(), ...(chosen.length > 0 && { apps: [...chosen] }) }
    await call('addSshKey', { body })
    toast(`The key ${body.name} opens ${chosen.length === 0 ? 'all apps' : chosen.join(', ')}`)
    changed()
    onClose()
  }
  const command = shellWords(
    ...['shadow', 'keys', 'add', name.trim() || 'NAME', '~/.ssh/id_ed25519.pub'],
    ...chosen.flatMap(app => ['--app', app]),
  ).replace("'~/.ssh/id_ed25519.pub'", '~/.ssh/id_ed25519.pub')
  return (
    <Dialog title="Add an SSH key" onClose={onClose}>
      <Form
        form={form}
        action="Add the key"
        command={command}
        run={run}
        isReady={name.trim() !== '' && publicKey.trim() !== ''}
      >
        <Fields>
          <TextField name="name" label="Name" placeholder="ann" />
          <LinesField name="publicKey" label="Public key" hint="one line, as in ~/.ssh/id_ed25519.pub" />
          <LinesField name="apps" label="Apps" hint="one a line; left out: all apps" rows={2} />
        </Fields>
      </Form>
    </Dialog>
  )
}
