import { useState } from 'preact/hooks'
import type { CallAnswer } from '../../../api/call-shape.ts'
import type { tokenCalls } from '../../../api/token-calls.ts'
import { call } from '../../api.ts'
import { CardTable } from '../../components/card-table.tsx'
import { Confirm } from '../../components/confirm.tsx'
import { Dialog } from '../../components/dialog.tsx'
import { Failure } from '../../components/failure.tsx'
import { ChoiceField, Fields, LinesField, TextField } from '../../components/field.tsx'
import { Form } from '../../components/form.tsx'
import { Section } from '../../components/section.tsx'
import { Time } from '../../components/time.tsx'
import { toast } from '../../components/toasts.tsx'
import { useForm } from '../../components/use-form.ts'
import { linesOf } from '../../lines.ts'
import { shellWords } from '../../shell-words.ts'
import type { Loaded } from '../../use-call.ts'
import { SecretOnce } from './secret-once.tsx'

type Tokens = CallAnswer<(typeof tokenCalls)['listTokens']>
export type Token = Tokens['items'][number]

const ID_SHOWN = 12
const ROLES = [
  ['admin', 'admin: everything'],
  ['owner', 'owner: some apps, and nothing else'],
  ['node', 'node: the machine of this name'],
  ['proxy', 'proxy: a front'],
] as const

/** The tokens, without their secrets. */
export function TokensSection({ loaded: { value, error, reload } }: { loaded: Loaded<Tokens> }) {
  const [isOpen, setOpen] = useState(false)
  const [revoked, setRevoked] = useState<Token>()
  return (
    <Section
      title="Tokens"
      says="Programs show a token with each call; a person signs in here with one."
      actions={
        <button type="button" onClick={() => setOpen(true)}>
          Create a token
        </button>
      }
    >
      {error && <Failure error={error} retry={reload} />}
      <CardTable caption="Tokens" columns={['Name', 'Role', 'Apps', 'Created', 'Id']}>
        {value?.items.map(token => (
          <tr key={token.id}>
            <th scope="row" class="wraps">
              <TokenName name={token.name} />
            </th>
            <td data-label="Role">{token.role}</td>
            <td class="wraps" data-label="Apps">
              {token.apps?.join(', ') ?? (token.role === 'admin' ? 'all' : '–')}
            </td>
            <td data-label="Created">
              <Time at={token.createdAt} />
            </td>
            <td data-label="Id">
              <code title={token.id}>{token.id.slice(0, ID_SHOWN)}</code>
            </td>
            <td class="actions">
              <button
                type="button"
                class="quiet"
                aria-label={`Revoke the token ${token.name} ${token.id.slice(0, ID_SHOWN)}`}
                onClick={() => setRevoked(token)}
              >
                Revoke
              </button>
            </td>
          </tr>
        ))}
      </CardTable>
      {isOpen && <TokenDialog onClose={() => setOpen(false)} changed={reload} />}
      {revoked && (
        <Confirm
          title={`Revoke the token ${revoked.name}?`}
          action="Revoke the token"
          command={`shadow token rm ${revoked.id}`}
          onClose={() => setRevoked(undefined)}
          run={async () => {
            await call('removeToken', { params: { token: revoked.id } })
            toast(`The token ${revoked.name} opens nothing any more`)
            reload()
          }}
        >
          <p>
            Whoever shows it gets nothing any more, open streams and terminals end, and who signed in with it is signed
            out.
          </p>
        </Confirm>
      )}
    </Section>
  )
}

/** A token that a master made for its own machine has its file in its name. */
function TokenName({ name }: { name: string }) {
  const [who, file] = name.split(' of /', 2)
  if (file === undefined) return name
  return (
    <>
      {who} <span class="faint">of /{file}</span>
    </>
  )
}

const EMPTY = { name: '', role: 'admin', apps: '' }

function TokenDialog({ onClose, changed }: { onClose: () => void; changed: () => void }) {
  const form = useForm(EMPTY)
  const [made, setMade] = useState<{ readonly name: string; readonly token: string }>()
  const { name, role, apps } = form.values
  const patterns = role === 'owner' ? linesOf(apps) : []
  const run = async (): Promise<void> => {
    const chosen = ROLES.find(([one]) => one === role)?.[0] ?? 'admin'
    const body = { name: name.trim(), role: chosen, ...(chosen === 'owner' && { apps: [...patterns] }) }
    const { token } = await call('createToken', { body })
    setMade({ name: body.name, token })
    changed()
  }
  if (made !== undefined)
    return (
      <Dialog title={`The token ${made.name}`} onClose={onClose}>
        <SecretOnce secret={made.token}>Whoever has it has its rights.</SecretOnce>
        <div class="row end">
          <button type="button" class="primary" onClick={onClose}>
            Done
          </button>
        </div>
      </Dialog>
    )
  const command = shellWords(
    ...['shadow', 'token', 'create', name.trim() || 'NAME'],
    ...(role === 'owner' ? ['--apps', patterns.join(',') || 'APPS'] : role === 'admin' ? [] : ['--role', role]),
  )
  return (
    <Dialog title="Create a token" onClose={onClose}>
      <Form form={form} action="Create the token" command={command} run={run} isReady={name.trim() !== ''}>
        <Fields>
          <TextField name="name" label="Name" hint="for what or for whom; of a node its name" placeholder="laptop" />
          <ChoiceField name="role" label="Role" choices={ROLES} />
          {role === 'owner' && (
            <LinesField
              name="apps"
              label="Apps"
              hint="one a line: a name, or as ann-* all that begin so"
              placeholder="ann-*"
            />
          )}
        </Fields>
      </Form>
    </Dialog>
  )
}
