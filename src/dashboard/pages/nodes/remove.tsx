import { useState } from 'preact/hooks'
import { call } from '../../api.ts'
import { Confirm } from '../../components/confirm.tsx'
import { Failure } from '../../components/failure.tsx'
import { toast } from '../../components/toasts.tsx'
import { useCall } from '../../use-call.ts'

type Props = { readonly name: string; readonly onClose: () => void; readonly changed: () => void }

/** Asks before a node is removed, and shows first what is lost with it. */
export function RemoveDialog({ name, onClose, changed }: Props) {
  const [isLost, setLost] = useState(false)
  const lost = isLost ? ('true' as const) : ('false' as const)
  const plan = useCall(
    signal => call('removeNode', { params: { node: name }, query: { lost, dryRun: 'true' }, signal }),
    [name, lost],
  )
  const run = async (): Promise<void> => {
    await call('removeNode', { params: { node: name }, query: { lost } })
    toast(`${name} is removed`)
    changed()
  }
  return (
    <Confirm
      title={`Remove ${name}?`}
      action="Remove the node"
      command={`shadow node rm ${name}${isLost ? ' --lost' : ''}`}
      typed={name}
      onClose={onClose}
      run={run}
    >
      <p>Its tokens and certificates open nothing any more.</p>
      <label class="row">
        <input type="checkbox" checked={isLost} onChange={event => setLost(event.currentTarget.checked)} />
        The machine is gone for good, and its disk with it
      </label>
      {plan.error && !plan.isLoading && <Failure error={plan.error} />}
      {!plan.error && plan.value && (
        <ul class="stack" aria-label="What becomes of its volumes">
          {plan.value.lost.map(({ id, app, size }) => (
            <li key={id} class="bad">
              Lost: the volume {id}, {size}, {app === null ? 'which no app has' : `of the app ${app}`}
            </li>
          ))}
          {plan.value.free.map(({ id, app, lease }) => (
            <li key={id}>
              Kept: the volume {id}, {app === null ? 'which no app has' : `of the app ${app}`}; another node may take it
              {lease?.until ? ` from ${lease.until} on` : ''}
            </li>
          ))}
          {plan.value.lost.length + plan.value.free.length === 0 && <li>No volume is on it: no data is lost.</li>}
        </ul>
      )}
    </Confirm>
  )
}
