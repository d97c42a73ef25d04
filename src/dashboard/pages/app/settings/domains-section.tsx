import { useState } from 'preact/hooks'
import type { DomainState } from '../../../../model/domain-state.ts'
import type { Hostname } from '../../../../model/hostname.ts'
import { call } from '../../../api.ts'
import { CardTable } from '../../../components/card-table.tsx'
import { Confirm } from '../../../components/confirm.tsx'
import { Failure } from '../../../components/failure.tsx'
import { Fields, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { Time } from '../../../components/time.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { shellWords } from '../../../shell-words.ts'
import { useCall } from '../../../use-call.ts'
import { changeApp } from '../change-app.ts'
import type { TabProps } from '../tab-props.ts'

/** The hostnames of the app, where they lead, and the certificates that are shown there. */
export function DomainsSection({ facts, app }: TabProps) {
  const { name, domains } = app
  const states = useCall(signal => call('listDomains', { params: { app: name }, signal }), [name, domains.join()])
  const [removed, setRemoved] = useState<Hostname>()
  const form = useForm({ domains: '' })
  const added = form.values.domains.trim()
  const add = async (): Promise<void> => {
    await changeApp(facts, {
      call: 'updateApp',
      body: now => ({ domains: [...now.domains, added] }),
      seen: () => undefined,
    })
    toast(`${added} leads to ${name}`)
  }
  const remove = (gone: Hostname): Promise<void> =>
    changeApp(facts, {
      call: 'updateApp',
      body: now => ({ domains: now.domains.filter(domain => domain !== gone) }),
      seen: () => undefined,
    })
  return (
    <Section
      title="Domains"
      says="Hostnames of the app, and what a visitor finds there, as this master sees it."
      actions={
        <button type="button" onClick={states.reload} disabled={states.isLoading}>
          {states.isLoading ? 'Looking…' : 'Look again'}
        </button>
      }
    >
      <CardTable columns={['Hostname', 'DNS', 'Certificate']}>
        {domains.length === 0 && (
          <tr>
            <td colSpan={4} class="faint">
              No hostname: no request reaches the app.
            </td>
          </tr>
        )}
        {domains.map(domain => {
          const state = states.value?.items.find(({ hostname }) => hostname === domain)
          return (
            <tr key={domain}>
              <th scope="row" class="breaks">
                {domain}
              </th>
              <td data-label="DNS">{state === undefined ? '…' : <Dns state={state} />}</td>
              <td data-label="Certificate">
                {state === undefined ? '…' : <Certificate state={state} />}
                {state?.order?.problem && <strong class="bad">{state.order.problem}</strong>}
              </td>
              <td>
                <button type="button" class="quiet" aria-label={`Remove ${domain}`} onClick={() => setRemoved(domain)}>
                  Remove
                </button>
              </td>
            </tr>
          )
        })}
      </CardTable>
      {states.error && <Failure error={states.error} retry={states.reload} />}
      <Form
        form={form}
        action="Add"
        command={shellWords('shadow', 'update', name, '--add-domain', added || 'www.example.com')}
        run={add}
      >
        <Fields>
          <TextField
            name="domains"
            label="Add a hostname"
            placeholder="www.example.com"
            hint="Its A or AAAA record has to have the address of a front. Adding makes a release."
          />
        </Fields>
      </Form>
      {removed !== undefined && (
        <Confirm
          title={`Remove ${removed}`}
          action="Remove"
          command={shellWords('shadow', 'update', name, '--remove-domain', removed)}
          onClose={() => setRemoved(undefined)}
          run={() => remove(removed)}
        >
          <p>Requests to {removed} do not reach the app any more. Its other hostnames stay.</p>
        </Confirm>
      )}
    </Section>
  )
}

function Dns({ state: { isLocal, addresses, fault, front } }: { state: DomainState }) {
  if (addresses.length === 0)
    return isLocal ? (
      <span class="faint">a name of one machine: no DNS</span>
    ) : (
      <>
        <strong class="bad">no address</strong> <span class="faint">{fault}</span>
      </>
    )
  return (
    <>
      <span class="addresses">{addresses.join(', ')}</span>
      {front === 'front' && <span class="good">a front answers</span>}
      {front === 'other' && <strong class="bad">something other than a front answers on port 80</strong>}
      {front === 'nobody' &&
        (isLocal ? (
          <span class="faint">nobody answers on port 80</span>
        ) : (
          <strong class="bad">nobody answers on port 80</strong>
        ))}
    </>
  )
}

function Certificate({ state: { certificate, front } }: { state: DomainState }) {
  if (certificate === null) return <span class="faint">{front === null ? 'not asked' : 'none: plain HTTP'}</span>
  const { fault, until, issuer, names } = certificate
  return (
    <>
      {fault === null ? <span class="good">trusted</span> : <strong class="bad">not trusted: {fault}</strong>}
      <span class="faint addresses" title={names.join(', ')}>
        {issuer}, ends <Time at={until} />
      </span>
    </>
  )
}
