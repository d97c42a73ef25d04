import { useState } from 'preact/hooks'
import { call } from '../../api.ts'
import { Confirm } from '../../components/confirm.tsx'
import { Section } from '../../components/section.tsx'
import { toast } from '../../components/toasts.tsx'
import { shellWords } from '../../shell-words.ts'
import { DeleteSection } from './danger/delete-section.tsx'
import { MoveSection } from './danger/move-section.tsx'
import { PauseSection } from './danger/pause-section.tsx'
import type { TabProps } from './tab-props.ts'

/** The tab of what interrupts an app, or ends it. */
export function DangerTab({ facts, app }: TabProps) {
  return (
    <>
      <SleepSection facts={facts} app={app} />
      <PauseSection facts={facts} app={app} />
      <MoveSection facts={facts} app={app} />
      <DeleteSection app={app} />
    </>
  )
}

function SleepSection({ facts: { row }, app: { name } }: TabProps) {
  const [isAsked, setAsked] = useState(false)
  const isAsleep = row?.phase === 'asleep'
  return (
    <Section title="Put to sleep" says="It is stopped now, and the next request wakes it.">
      <button type="button" class="narrow" onClick={() => setAsked(true)} disabled={isAsleep}>
        {isAsleep ? 'It sleeps already' : 'Sleep now'}
      </button>
      {isAsked && (
        <Confirm
          title={`Put ${name} to sleep`}
          action="Sleep"
          command={shellWords('shadow', 'sleep', name)}
          onClose={() => setAsked(false)}
          run={async () => {
            await call('sleepApp', { params: { app: name } })
            toast(`${name} sleeps`)
          }}
        >
          <p>Requests in flight get the time that its settings give them. Open WebSockets and sessions end.</p>
        </Confirm>
      )}
    </Section>
  )
}
