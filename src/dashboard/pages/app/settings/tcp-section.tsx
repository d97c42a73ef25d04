import { useState } from 'preact/hooks'
import { TCP_DEFAULTS } from '../../../../model/tcp.ts'
import { call } from '../../../api.ts'
import { CardTable } from '../../../components/card-table.tsx'
import { Confirm } from '../../../components/confirm.tsx'
import { Fields, NumberField, TextField } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { shellWords } from '../../../shell-words.ts'
import { useCall } from '../../../use-call.ts'
import { changeApp } from '../change-app.ts'
import type { TabProps } from '../tab-props.ts'

const NEW_PORT = { port: '', listen: '', idle: '', connections: '' }

/** Ports of the fronts whose connections go to the app byte for byte. */
export function TcpSection({ facts, app }: TabProps) {
  const { name, tcp = [] } = app
  const said = useCall(signal => call('getTcp', { params: { app: name }, signal }), [name, JSON.stringify(tcp)])
  const [closed, setClosed] = useState<number>()
  const form = useForm(NEW_PORT)
  const { port, listen, idle, connections } = form.values
  const add = async (): Promise<void> => {
    const added = {
      port: Number(port),
      ...(listen !== '' && { listen: Number(listen) }),
      ...(idle !== '' && { idle: idle.trim() }),
      ...(connections !== '' && { connections: Number(connections) }),
    }
    const listens = added.listen ?? added.port + TCP_DEFAULTS.above
    await changeApp(facts, {
      call: 'setTcp',
      body: now => [...(now.tcp ?? []).filter(one => one.listen !== listens), added],
      seen: () => undefined,
    })
    toast('TCP port: opened')
  }
  const close = (gone: number): Promise<void> =>
    changeApp(facts, {
      call: 'setTcp',
      body: now => (now.tcp ?? []).filter(one => one.listen !== gone),
      seen: () => undefined,
    })
  const stateOf = (listens: number): string =>
    said.value?.fronts
      .flatMap(({ front, ports }) =>
        ports
          .filter(one => one.listen === listens)
          .map(({ problem }) => (problem === undefined ? `open on ${front}` : `${front}: ${problem}`)),
      )
      .join('; ') || 'no front has said so yet'
  return (
    <Section
      title="TCP ports"
      says="Ports of the fronts for other protocols than HTTP. A connection wakes the app and keeps it awake; a change restarts nothing."
    >
      {tcp.length > 0 && (
        <CardTable columns={['Front', 'App', 'Idle', 'Connections', 'State']}>
          {tcp.map(one => (
            <tr key={one.listen}>
              <th scope="row">{one.listen}</th>
              <td data-label="Port of the app">{one.port}</td>
              <td data-label="Idle">{one.idle ?? 'never'}</td>
              <td data-label="Connections">{one.connections ?? TCP_DEFAULTS.connections}</td>
              <td data-label="State">{stateOf(one.listen)}</td>
              <td>
                <button
                  type="button"
                  class="quiet"
                  aria-label={`Close port ${one.listen}`}
                  onClick={() => setClosed(one.listen)}
                >
                  Close
                </button>
              </td>
            </tr>
          ))}
        </CardTable>
      )}
      <Form
        form={form}
        action="Open"
        command={shellWords(
          ...['shadow', 'port', 'add', name, port || '5432'],
          ...(listen === '' ? [] : ['--listen', listen]),
          ...(idle === '' ? [] : ['--idle', idle]),
          ...(connections === '' ? [] : ['--connections', connections]),
        )}
        run={add}
      >
        <Fields>
          <NumberField name="port" label="Port of the app" placeholder="5432" />
          <NumberField
            name="listen"
            label="Port of the fronts"
            hint={`One of their SHADOW_TCP_PORTS. Empty: ${TCP_DEFAULTS.above} more.`}
          />
          <TextField name="idle" label="Close idle connections after" hint="Empty: never." placeholder="1h" />
          <NumberField
            name="connections"
            label="Connections at a time"
            hint={`Of each front. Empty: ${TCP_DEFAULTS.connections}.`}
          />
        </Fields>
      </Form>
      {closed !== undefined && (
        <Confirm
          title={`Close port ${closed} of the fronts`}
          action="Close"
          command={`shadow port rm ${name} ${closed}`}
          onClose={() => setClosed(undefined)}
          run={() => close(closed)}
        >
          <p>Open connections go on.</p>
        </Confirm>
      )}
    </Section>
  )
}
