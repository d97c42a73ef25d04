import { useState } from 'preact/hooks'
import { call } from '../../../api.ts'
import { Confirm } from '../../../components/confirm.tsx'
import { Failure } from '../../../components/failure.tsx'
import { CheckField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { useCall } from '../../../use-call.ts'
import type { TabProps } from '../tab-props.ts'
import { secretsCommand, variableChanges } from './variable-changes.ts'
import { Variables } from './variables.tsx'

/** The secrets of the app, and those that the next release takes. */
export function SecretsSection({ facts, app }: TabProps) {
  const { name } = app
  const secrets = useCall(
    signal => call('listSecrets', { params: { app: name }, signal }),
    [name, app.task.secretsVersion, app.staged],
  )
  const form = useForm<Record<string, string | boolean>>({ stage: false })
  const { stage = false, ...typed } = form.changed
  const changes = variableChanges(typed)
  const isStaged = stage === true
  const staged = secrets.value?.staged ?? []
  const save = async (): Promise<void> => {
    const { changed } = await call('changeSecrets', {
      params: { app: name },
      query: { stage: isStaged ? 'true' : 'false', env: 'digests' },
      body: changes,
    })
    secrets.reload()
    facts.reload()
    toast(isStaged ? `Staged: ${changed.join(', ')}` : `Secrets changed: ${changed.join(', ') || 'none'}`)
  }
  const stored = (secrets.value?.items ?? []).map(item => ({
    name: item.name,
    digest: item.digest,
    about: <span class="faint about">since release {item.since}</span>,
  }))
  return (
    <Section
      title="Secrets"
      says="Variables that are stored encrypted. No call and no page shows their values. Saving makes a release, unless they are staged for the next one."
    >
      {secrets.error && <Failure error={secrets.error} retry={secrets.reload} />}
      {staged.length > 0 && <Staged app={name} staged={staged} onDone={() => [secrets.reload(), facts.reload()]} />}
      <Form
        form={form}
        action={isStaged ? 'Stage' : 'Save'}
        command={secretsCommand(name, changes, isStaged)}
        run={save}
        isReady={Object.keys(changes).length > 0}
      >
        <Variables stored={stored} what="secret" isSecret />
        <CheckField name="stage" label="Only stage it" hint="No release is made: the next one takes the change." />
      </Form>
    </Section>
  )
}

type StagedProps = {
  readonly app: string
  readonly staged: readonly { readonly name: string; readonly digest: string | null }[]
  readonly onDone: () => void
}

function Staged({ app, staged, onDone }: StagedProps) {
  const [asked, setAsked] = useState<'apply' | 'discard'>()
  const names = staged.map(({ name, digest }) => (digest === null ? `${name} (removed)` : name)).join(', ')
  return (
    <div class="note staged">
      <p>Staged for the next release: {names}</p>
      <div class="row">
        <button type="button" onClick={() => setAsked('apply')}>
          Make a release with it
        </button>
        <button type="button" onClick={() => setAsked('discard')}>
          Forget it
        </button>
      </div>
      {asked === 'apply' && (
        <Confirm
          title="Make a release with what is staged"
          action="Make a release"
          command={`shadow secrets apply ${app}`}
          onClose={() => setAsked(undefined)}
          run={async () => {
            await call('changeSecrets', { params: { app }, query: { env: 'digests' }, body: {} })
            onDone()
          }}
        />
      )}
      {asked === 'discard' && (
        <Confirm
          title="Forget what is staged"
          action="Forget it"
          command={`shadow secrets discard ${app}`}
          onClose={() => setAsked(undefined)}
          run={async () => {
            await call('discardSecrets', { params: { app } })
            onDone()
          }}
        />
      )}
    </div>
  )
}
