import { useId, useState } from 'preact/hooks'
import { call } from '../../../api.ts'
import { Confirm } from '../../../components/confirm.tsx'
import { toast } from '../../../components/toasts.tsx'
import { go } from '../../../router.ts'
import { shellWords } from '../../../shell-words.ts'

/** Makes another app with the data of a snapshot. */
export function ForkDialog({ app, snapshot, onClose }: { app: string; snapshot: string; onClose: () => void }) {
  const [name, setName] = useState(`${app}-test`.slice(0, 63))
  const id = useId()
  const fork = async (): Promise<void> => {
    const made = await call('forkApp', { params: { app }, body: { name: name.trim(), snapshot } })
    toast(`${made.name} is a fork of ${app}; its first request wakes it`)
    go(`/apps/${made.name}`)
  }
  return (
    <Confirm
      title={`Make an app of the snapshot ${snapshot}`}
      action="Make the app"
      command={shellWords('shadow', 'fork', app, name.trim() || 'NAME', '--snapshot', snapshot)}
      onClose={onClose}
      run={fork}
    >
      <p>
        The new app has the definition, the environment, the access rules and a copy of the data of {app}, and hostnames
        of its own. {app} serves on.
      </p>
      <label for={id} class="field">
        Name of the new app
        <input
          id={id}
          value={name}
          onInput={event => setName(event.currentTarget.value)}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
      </label>
    </Confirm>
  )
}
