import { useState } from 'preact/hooks'
import { call, send } from '../../../api.ts'
import { Confirm } from '../../../components/confirm.tsx'
import { Section } from '../../../components/section.tsx'
import { Time } from '../../../components/time.tsx'
import { toast } from '../../../components/toasts.tsx'
import { shellWords } from '../../../shell-words.ts'
import { asRead } from '../../../use-app.ts'
import type { TabProps } from '../tab-props.ts'

/** Keeps an app from being woken, or lets it be woken again. */
export function PauseSection({ facts, app: { name, paused } }: TabProps) {
  const [isAsked, setAsked] = useState(false)
  const [why, setWhy] = useState('')
  const close = (): void => setAsked(false)
  const command = ['shadow', paused === undefined ? 'pause' : 'resume', name]
  const query = { env: 'digests' }
  if (paused !== undefined)
    return (
      <Section title="Paused" says="Nothing wakes it. Its data, its backups and its hostnames stay.">
        <p>
          By {paused.by} <Time at={paused.at} />
          {paused.why !== undefined && `: ${paused.why}`}
        </p>
        <button type="button" class="narrow primary" onClick={() => setAsked(true)}>
          Resume
        </button>
        {isAsked && (
          <Confirm
            title={`Resume ${name}`}
            action="Resume"
            command={shellWords(...command)}
            onClose={close}
            run={async () => {
              facts.replace(await asRead(await send('resumeApp', { params: { app: name }, query })))
              toast(`The next request wakes ${name}`)
            }}
          >
            <p>The next request wakes it, and so do its schedules.</p>
          </Confirm>
        )}
      </Section>
    )
  return (
    <Section
      title="Pause"
      says="It is put to sleep, and nothing wakes it until it is resumed: visitors get 503 and a page that says so."
    >
      <button type="button" class="narrow" onClick={() => setAsked(true)}>
        Pause
      </button>
      {isAsked && (
        <Confirm
          title={`Pause ${name}`}
          action="Pause"
          command={shellWords(...command, ...(why.trim() === '' ? [] : ['--why', why.trim()]))}
          onClose={close}
          run={async () => {
            const body = why.trim() === '' ? {} : { why: why.trim() }
            facts.replace(await asRead(await send('pauseApp', { params: { app: name }, query, body })))
            await call('sleepApp', { params: { app: name } })
            toast(`${name} is paused`)
          }}
        >
          <p>Requests in flight get the time that its settings give them. Its schedules are skipped.</p>
          <label class="field">
            <span>Why (shown to whoever looks)</span>
            <input
              value={why}
              maxLength={200}
              onInput={event => setWhy(event.currentTarget.value)}
              autocomplete="off"
            />
          </label>
        </Confirm>
      )}
    </Section>
  )
}
