import { useId, useState } from 'preact/hooks'
import { call } from '../../../api.ts'
import { Confirm } from '../../../components/confirm.tsx'
import { Section } from '../../../components/section.tsx'
import { toast } from '../../../components/toasts.tsx'
import { go } from '../../../router.ts'
import { shellWords } from '../../../shell-words.ts'
import type { TabProps } from '../tab-props.ts'

/** Deletes the app, with its volume or without. */
export function DeleteSection({ app: { name, domains, task, usedBy = [] } }: Pick<TabProps, 'app'>) {
  const [isAsked, setAsked] = useState(false)
  const [withVolume, setWithVolume] = useState(false)
  const id = useId()
  const { volume } = task
  const remove = async (): Promise<void> => {
    await call('removeApp', { params: { app: name }, query: { withVolume: withVolume ? 'true' : 'false' } })
    toast(volume !== undefined && !withVolume ? `${name} is deleted; its volume is kept` : `${name} is deleted`)
    go('/')
  }
  return (
    <Section title="Delete the app" says="It is stopped, and its hostnames lead nowhere.">
      <button
        type="button"
        class="danger narrow"
        onClick={() => {
          setWithVolume(false)
          setAsked(true)
        }}
      >
        Delete {name}
      </button>
      {isAsked && (
        <Confirm
          title={`Delete ${name}`}
          action="Delete"
          typed={name}
          command={shellWords('shadow', 'remove', name, withVolume ? '--with-volume' : undefined)}
          onClose={() => setAsked(false)}
          run={remove}
        >
          <div class="stack">
            <p>This is lost:</p>
            <ul class="lost">
              <li>its definition, its releases, its environment and its secrets</li>
              <li>its hostnames: {domains.join(', ') || 'none'}</li>
              <li>its access rules, wake rules, schedules and ports</li>
              {withVolume && volume !== undefined && (
                <li>
                  <strong class="bad">all data of its volume of {volume.size}, and its snapshots</strong>
                </li>
              )}
            </ul>
            {volume !== undefined && (
              <>
                <p>
                  {withVolume
                    ? 'Its backups stay, and can be restored into another app.'
                    : `Its volume of ${volume.size} is kept, with its snapshots and backups: an app of this name can have it again.`}
                </p>
                <div class="field check">
                  <input
                    type="checkbox"
                    id={id}
                    checked={withVolume}
                    onChange={event => setWithVolume(event.currentTarget.checked)}
                  />
                  <label for={id}>Delete its volume and all data in it too</label>
                </div>
              </>
            )}
            {usedBy.length > 0 && <p class="bad">Apps that use it: {usedBy.join(', ')}.</p>}
          </div>
        </Confirm>
      )}
    </Section>
  )
}
