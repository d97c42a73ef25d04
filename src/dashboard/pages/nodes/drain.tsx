import { useId, useState } from 'preact/hooks'
import { call } from '../../api.ts'
import { Confirm } from '../../components/confirm.tsx'
import { toast } from '../../components/toasts.tsx'

type Volumes = 'refuse' | 'keep' | 'stop'
const FLAGS: Readonly<Record<Volumes, string>> = { refuse: '', keep: ' --keep-volumes', stop: ' --stop-volumes' }

type Props = { readonly name: string; readonly onClose: () => void; readonly changed: () => void }

/** Asks how a node is to be drained. */
export function DrainDialog({ name, onClose, changed }: Props) {
  const [deadline, setDeadline] = useState('5m')
  const [volumes, setVolumes] = useState<Volumes>('refuse')
  const ids = { deadline: useId(), volumes: useId() }
  const run = async (): Promise<void> => {
    await call('drainNode', { params: { node: name }, body: { deadline: deadline.trim(), volumes } })
    toast(`${name} drains`)
    changed()
  }
  return (
    <Confirm
      title={`Drain ${name}?`}
      action="Drain"
      command={`shadow node drain ${name} --deadline ${deadline.trim() || '5m'}${FLAGS[volumes]}`}
      onClose={onClose}
      run={run}
    >
      <p>It takes no apps, and its apps leave it. No app is woken for that.</p>
      <label for={ids.deadline} class="field">
        <span>Apps in use have so long to end by themselves</span>
        <input
          id={ids.deadline}
          value={deadline}
          onInput={event => setDeadline(event.currentTarget.value)}
          spellcheck={false}
        />
      </label>
      <label for={ids.volumes} class="field">
        <span>Apps whose volume is on its disk</span>
        <select id={ids.volumes} value={volumes} onChange={event => setVolumes(event.currentTarget.value as Volumes)}>
          <option value="refuse">There must be none: refuse</option>
          <option value="keep">Stay, and are served on</option>
          <option value="stop">Sleep until it is uncordoned</option>
        </select>
      </label>
    </Confirm>
  )
}
