import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { Node } from '../../../model/app.ts'
import type { AppRow } from '../../../model/overview.ts'
import { call } from '../../api.ts'
import { Confirm } from '../../components/confirm.tsx'
import { Link } from '../../components/link.tsx'
import { Time } from '../../components/time.tsx'
import { toast } from '../../components/toasts.tsx'
import { sayBytes, sayCount } from '../../format.ts'
import { DrainDialog } from './drain.tsx'
import { Meter } from './meter.tsx'
import { RemoveDialog } from './remove.tsx'

type Props = {
  readonly node: Node
  /** The apps that are awake there; undefined: not known yet. */
  readonly rows: readonly AppRow[] | undefined
  readonly changed: () => void
}

/** One node: its state and load, what runs there, and what can be done with it. */
export function NodeCard({ node, rows, changed }: Props) {
  const { name, room, volumeSlots } = node
  return (
    <article class="card node" aria-labelledby={`node-${name}`}>
      <div class="node-head">
        <h2 id={`node-${name}`}>{name}</h2>
        <State node={node} />
        {node.since !== undefined && (
          <span class="faint">
            since <Time at={node.since} />
          </span>
        )}
      </div>
      <dl class="node-facts">
        <Fact name={`Load, of ${node.cpus}`}>
          {(node.cpuUtilization * node.cpus).toFixed(1)}
          <Meter share={node.cpuUtilization} says={`load of the processors of ${name}`} />
        </Fact>
        <Fact name="Memory in use">
          {Math.round(node.memoryUtilization * 100)} % of {sayBytes(node.memoryBytes)}
          <Meter share={node.memoryUtilization} says={`memory of ${name} in use`} />
        </Fact>
        {room && (
          <Fact name="Memory reserved">
            {sayBytes(room.reservableBytes - room.freeBytes)} of {sayBytes(room.reservableBytes)}
            <Meter
              share={1 - room.freeBytes / room.reservableBytes}
              says={`memory of ${name} reserved by awake apps`}
            />
          </Fact>
        )}
        {volumeSlots && (
          <Fact name="Volumes attached">
            {volumeSlots.total - volumeSlots.free} of {volumeSlots.total}
            <Meter share={1 - volumeSlots.free / volumeSlots.total} says={`slots for volumes of ${name} in use`} />
          </Fact>
        )}
        <Fact name="Zone">{node.labels?.['zone'] ?? '–'}</Fact>
        <Fact name="Address">{node.address}</Fact>
        <Fact name="Version">{node.version ?? '–'}</Fact>
      </dl>
      {node.clockAheadMs !== undefined && (
        <p class="bad">
          Its clock is {Math.abs(Math.round(node.clockAheadMs / 1_000))} s{' '}
          {node.clockAheadMs > 0 ? 'ahead of' : 'behind'} that of the master.
        </p>
      )}
      <div>
        <h3>
          {sayCount(node.awake)} awake · <Link to={`/?node=${encodeURIComponent(name)}`}>all apps there</Link>
        </h3>
        <div class="node-apps">
          {rows?.map(({ app }) => (
            <Link key={app} to={`/apps/${app}`}>
              {app}
            </Link>
          ))}
        </div>
      </div>
      <Actions node={node} changed={changed} />
    </article>
  )
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd class="num">{children}</dd>
    </div>
  )
}

function State({ node: { state, cordon, toLeave } }: { node: Node }) {
  if (cordon?.drain === undefined)
    return <span class={`state ${cordon ? 'cordoned' : state}`}>{cordon ? `${state}, cordoned` : state}</span>
  if (toLeave === 0 || state === 'gone')
    return <span class={`state ${state}`}>{state === 'gone' ? state : 'drained'}</span>
  return (
    <span class="state draining">
      draining{toLeave !== undefined && `: ${toLeave} to leave`}, until <Time at={cordon.drain.until} />
    </span>
  )
}

type Action = 'cordon' | 'uncordon' | 'drain' | 'remove'

function Actions({ node: { name, cordon }, changed }: { node: Node; changed: () => void }) {
  const [action, setAction] = useState<Action>()
  const dialog = { name, onClose: () => setAction(undefined), changed }
  const button = (which: Action, text: string, kind = '') => (
    <button type="button" class={kind} aria-label={`${text} ${name}`} onClick={() => setAction(which)}>
      {text}
    </button>
  )
  return (
    <div class="row">
      {cordon === undefined ? button('cordon', 'Cordon') : button('uncordon', 'Uncordon')}
      {cordon?.drain === undefined && button('drain', 'Drain')}
      {button('remove', 'Remove', 'danger')}
      {(action === 'cordon' || action === 'uncordon') && <CordonDialog {...dialog} action={action} />}
      {action === 'drain' && <DrainDialog {...dialog} />}
      {action === 'remove' && <RemoveDialog {...dialog} />}
    </div>
  )
}

type DialogProps = { readonly name: string; readonly onClose: () => void; readonly changed: () => void }

function CordonDialog({ name, action, onClose, changed }: DialogProps & { action: 'cordon' | 'uncordon' }) {
  const isCordon = action === 'cordon'
  const run = async (): Promise<void> => {
    await call(isCordon ? 'cordonNode' : 'uncordonNode', { params: { node: name } })
    toast(isCordon ? `${name} takes no app that it does not have` : `${name} takes apps again`)
    changed()
  }
  return (
    <Confirm
      title={isCordon ? `Cordon ${name}?` : `Uncordon ${name}?`}
      action={isCordon ? 'Cordon' : 'Uncordon'}
      command={`shadow node ${action} ${name}`}
      onClose={onClose}
      run={run}
    >
      <p>
        {isCordon
          ? 'It takes no app that it does not have already. Its apps stay, and wake there.'
          : 'It takes apps again. A drain ends.'}
      </p>
    </Confirm>
  )
}
