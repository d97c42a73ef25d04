import type { ComponentChildren } from 'preact'
import { useId, useState } from 'preact/hooks'
import { CardTable } from '../../../components/card-table.tsx'
import { useFormAround } from '../../../components/form.tsx'
import type { FormState } from '../../../components/use-form.ts'
import { pastedVariables } from './variable-changes.ts'

type Stored = { readonly name: string; readonly digest: string | null; readonly about?: ComponentChildren }
type Props = { readonly stored: readonly Stored[]; readonly what: string; readonly isSecret: boolean }

/** Variables by name. Their values are not shown: they can be set, replaced and taken away. */
export function Variables({ stored, what, isSecret }: Props) {
  const form = useFormAround()
  const known = new Set(stored.map(({ name }) => name))
  const added = Object.keys(form.changed).flatMap(key => (key.startsWith('set.') ? [key.slice(4)] : []))
  const rows: readonly Stored[] = [
    ...stored,
    ...added.filter(name => !known.has(name)).map(name => ({ name, digest: null })),
  ]
  return (
    <>
      <CardTable columns={['Name', 'Value']} class="variables">
        {rows.length === 0 && (
          <tr>
            <td colSpan={3} class="faint">
              No {what}s yet.
            </td>
          </tr>
        )}
        {rows.map(row => (
          <Row key={row.name} row={row} what={what} isSecret={isSecret} form={form} />
        ))}
      </CardTable>
      <Add what={what} form={form} />
    </>
  )
}

type RowProps = {
  readonly row: Stored
  readonly what: string
  readonly isSecret: boolean
  readonly form: FormState
}

function Row({ row: { name, digest, about }, what, isSecret, form }: RowProps) {
  const { changed, set } = form
  const isSet = changed[`set.${name}`] === true
  const isUnset = changed[`unset.${name}`] === true
  const faults = form.error?.faults.filter(({ field }) => field === name || field === `env.${name}`) ?? []
  return (
    <tr class={isSet || isUnset ? 'is-changed' : undefined}>
      <th scope="row">
        <code>{name}</code>
        {about}
        {faults.map(({ message }) => (
          <p key={message} class="bad">
            {message}
          </p>
        ))}
      </th>
      <td>
        {isSet ? (
          <textarea
            rows={1}
            class={isSecret ? 'masked' : undefined}
            aria-label={`New value of ${name}`}
            aria-invalid={faults.length > 0 ? 'true' : undefined}
            placeholder="New value"
            value={String(form.values[`value.${name}`] ?? '')}
            onInput={event => set(`value.${name}`, event.currentTarget.value)}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
          />
        ) : isUnset ? (
          <span class="bad">will be removed</span>
        ) : (
          <span class="faint" title="Equal values have equal digests">
            digest <code>{shortDigest(digest)}</code>
          </span>
        )}
      </td>
      <td class="variable-actions">
        {isSet || isUnset ? (
          <button
            type="button"
            class="quiet"
            aria-label={`Undo the change of ${name}`}
            onClick={() => {
              set(`set.${name}`, false)
              set(`unset.${name}`, false)
              set(`value.${name}`, '')
            }}
          >
            Undo
          </button>
        ) : (
          <>
            <button
              type="button"
              class="quiet"
              aria-label={`Replace ${what} ${name}`}
              onClick={() => set(`set.${name}`, true)}
            >
              Replace
            </button>
            <button
              type="button"
              class="quiet"
              aria-label={`Remove ${what} ${name}`}
              onClick={() => set(`unset.${name}`, true)}
            >
              Remove
            </button>
          </>
        )}
      </td>
    </tr>
  )
}

const shortDigest = (digest: string | null): string => (digest ?? '').replace(/^[\w-]+:/, '').slice(0, 12)

function Add({ what, form }: { what: string; form: FormState }) {
  const [name, setName] = useState('')
  const id = useId()
  const add = (): void => {
    if (name.trim() === '') return
    form.set(`set.${name.trim()}`, true)
    form.set(`unset.${name.trim()}`, false)
    setName('')
  }
  const paste = (event: ClipboardEvent): void => {
    const variables = pastedVariables(event.clipboardData?.getData('text') ?? '')
    if (variables.length === 0) return
    event.preventDefault()
    for (const [pasted, value] of variables) {
      form.set(`set.${pasted}`, true)
      form.set(`value.${pasted}`, value)
    }
  }
  return (
    <div class="field">
      <label for={id}>Add a {what}</label>
      <div class="row">
        <input
          id={id}
          class="variable-name"
          placeholder="NAME"
          value={name}
          onInput={event => setName(event.currentTarget.value)}
          onPaste={paste}
          onKeyDown={event => {
            if (event.key !== 'Enter') return
            event.preventDefault()
            add()
          }}
          aria-describedby={`${id}-about`}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
        <button type="button" onClick={add} disabled={name.trim() === ''}>
          Add
        </button>
      </div>
      <p id={`${id}-about`} class="faint field-about">
        Lines NAME=value, pasted here, add all of them.
      </p>
    </div>
  )
}
