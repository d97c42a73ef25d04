import { useState } from 'preact/hooks'
import { call } from '../../api.ts'
import { CommandLine } from '../../components/command-line.tsx'
import { Dialog } from '../../components/dialog.tsx'
import { Failure } from '../../components/failure.tsx'
import { ChoiceField, Fields, TextField } from '../../components/field.tsx'
import { Form } from '../../components/form.tsx'
import { Section } from '../../components/section.tsx'
import { Time } from '../../components/time.tsx'
import { useForm } from '../../components/use-form.ts'
import { shellWords } from '../../shell-words.ts'
import { useCall } from '../../use-call.ts'
import { SecretOnce } from './secret-once.tsx'

/** The machines of the cluster, and tokens by which others join it. */
export function MembersSection() {
  const { value, error, reload } = useCall(signal => call('listMembers', { signal }), [])
  const [isOpen, setOpen] = useState(false)
  const isAlone = error?.code === 'not-found'
  return (
    <Section
      title="Machines"
      says="Nodes and fronts that have joined the cluster, each with a certificate of its own."
      actions={
        !isAlone && (
          <button type="button" onClick={() => setOpen(true)}>
            Let a machine join
          </button>
        )
      }
    >
      {isAlone && (
        <div class="stack">
          <p class="faint">This master has no cluster: all of Shadow runs on its machine. Several machines need one:</p>
          <CommandLine command="shadow cluster init --url https://HOST:8080" />
        </div>
      )}
      {error && !isAlone && <Failure error={error} retry={reload} />}
      {value?.items.length === 0 && <p class="faint">No machine has joined by a token.</p>}
      {value !== undefined && value.items.length > 0 && (
        <div class="table-scroll">
          <table class="table cards">
            <caption class="unseen">Machines of the cluster</caption>
            <thead>
              <tr>
                {['Name', 'Role', 'Joined', 'Certificate until'].map(word => (
                  <th key={word} scope="col">
                    {word}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {value.items.map(({ id, name, role, joinedAt, until }) => (
                <tr key={id}>
                  <th scope="row" class="wraps">
                    {name}
                  </th>
                  <td data-label="Role">{role === 'proxy' ? 'front' : role}</td>
                  <td data-label="Joined">
                    <Time at={joinedAt} />
                  </td>
                  <td data-label="Certificate until">
                    <Time at={until} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {isOpen && (
        <JoinDialog
          onClose={() => {
            setOpen(false)
            reload()
          }}
        />
      )}
    </Section>
  )
}

function JoinDialog({ onClose }: { onClose: () => void }) {
  const form = useForm({ role: 'node', name: '' })
  const [made, setMade] = useState<{ readonly role: string; readonly token: string; readonly until: string }>()
  const { name } = form.values
  const role = form.values.role === 'proxy' ? ('proxy' as const) : ('node' as const)
  const run = async (): Promise<void> => {
    setMade({ role, ...(await call('createJoinToken', { body: { role, name: name.trim() } })) })
  }
  if (made !== undefined)
    return (
      <Dialog title="Let a machine join" onClose={onClose}>
        <SecretOnce secret={made.token}>
          It is good for one machine, until <Time at={made.until} />. On that machine:
        </SecretOnce>
        <CommandLine command={`shadow ${made.role} join --token TOKEN`} />
        <div class="row end">
          <button type="button" class="primary" onClick={onClose}>
            Done
          </button>
        </div>
      </Dialog>
    )
  return (
    <Dialog title="Let a machine join" onClose={onClose}>
      <Form
        form={form}
        action="Create the token"
        command={shellWords('shadow', role, 'token', name.trim() || 'NAME')}
        run={run}
        isReady={name.trim() !== ''}
      >
        <Fields>
          <ChoiceField
            name="role"
            label="As"
            choices={[
              ['node', 'a node'],
              ['proxy', 'a front'],
            ]}
          />
          <TextField name="name" label="Name" hint="of the machine in the cluster" placeholder="node-2" />
        </Fields>
      </Form>
    </Dialog>
  )
}
