import { useState } from 'preact/hooks'
import { call } from '../../../api.ts'
import { Confirm } from '../../../components/confirm.tsx'
import { ChoiceField, Fields } from '../../../components/field.tsx'
import { Form } from '../../../components/form.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { useForm } from '../../../components/use-form.ts'
import { sayBytes, sayMs } from '../../../format.ts'
import { session } from '../../../session.ts'
import { shellWords } from '../../../shell-words.ts'
import { useStore } from '../../../store.ts'
import { useCall } from '../../../use-call.ts'
import type { TabProps } from '../tab-props.ts'

/** Moves an app, whose volume is on the disk of a node, to another node. */
export function MoveSection({ facts, app: { name, task } }: TabProps) {
  const isAdmin = useStore(session)?.role === 'admin'
  const nodes = useCall(async signal => (isAdmin ? (await call('listNodes', { signal })).items : []), [isAdmin])
  const at = facts.row?.node ?? null
  const others = (nodes.value ?? []).filter(({ name: node, state }) => node !== at && state === 'healthy')
  const [to, setTo] = useState<string>()
  const form = useForm({ to: '' })
  const chosen = form.values.to || (others[0]?.name ?? '')
  if (task.volume === undefined || (task.volume.driver ?? 'loop') !== 'loop')
    return (
      <Section title="Move to another node">
        <p class="faint">
          Its data is not on the disk of one node: masters and fronts choose where it runs. To empty a node: shadow node
          drain NODE.
        </p>
      </Section>
    )
  return (
    <Section
      title="Move to another node"
      says={`It is on ${at ?? 'no node yet'}. It serves while its volume is copied, and sleeps for the last part of that.`}
    >
      <MoveProgress app={name} />
      {others.length === 0 ? (
        <p class="faint">
          {isAdmin ? 'There is no other node that takes apps.' : 'A person with the role admin sees the nodes.'}
        </p>
      ) : (
        <Form
          form={form}
          action="Move"
          isReady
          command={shellWords('shadow', 'move', name, '--to', chosen)}
          run={async () => setTo(chosen)}
        >
          <Fields>
            <ChoiceField name="to" label="To" choices={others.map(node => [node.name, node.name] as const)} />
          </Fields>
        </Form>
      )}
      {to !== undefined && (
        <Confirm
          title={`Move ${name} to ${to}`}
          action="Move"
          command={shellWords('shadow', 'move', name, '--to', to)}
          onClose={() => setTo(undefined)}
          run={async () => {
            const done = await call('moveApp', { params: { app: name }, body: { to } })
            facts.reload()
            toast(
              done.moved
                ? `${name} is on ${to}: ${sayBytes(done.onDiskBytes ?? 0)}; it was held for ${sayMs(done.heldMs ?? 0)}`
                : `${name} was not moved: it is there already, or has no data yet`,
            )
          }}
        >
          <p>
            Requests wait while the last part is copied. Closing the dashboard before it is done calls the move off; the
            app stays where it is then.
          </p>
        </Confirm>
      )}
    </Section>
  )
}

/** A move that is under way, asked for here or elsewhere. */
function MoveProgress({ app }: { app: string }) {
  const { value } = useCall(signal => call('getMove', { params: { app }, signal }), [app], { everyMs: 2_000 })
  const move = value?.move
  if (!move) return null
  return (
    <div class="note" role="status">
      It is on its way from {move.from} to {move.to}: {move.stage}, {sayBytes(move.readBytes)} of{' '}
      {sayBytes(move.ofBytes)}.
    </div>
  )
}
