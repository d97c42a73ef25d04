import { call } from '../../api.ts'
import { CommandLine } from '../../components/command-line.tsx'
import { Failure } from '../../components/failure.tsx'
import { Icon } from '../../components/icon.tsx'
import { Section } from '../../components/section.tsx'
import { Time } from '../../components/time.tsx'
import { useCall } from '../../use-call.ts'
import type { TabProps } from './tab-props.ts'

const EVERY_MS = 5_000

/** Leads to the terminal, which has a window of its own, and shows whose sessions hold the app now. */
export function TerminalTab({ app: { name } }: TabProps) {
  const { value, error, reload } = useCall(signal => call('getInstance', { params: { app: name }, signal }), [name], {
    everyMs: EVERY_MS,
  })
  const sessions = value?.holds.filter(({ kind }) => kind === 'session')
  return (
    <>
      <Section
        title="Terminal"
        says="A shell in the container of the app. It keeps the app awake until its window is closed."
      >
        <p>The window asks before it wakes the app.</p>
        <div class="row">
          <a class="button primary" href={`/terminal/${name}`} target="_blank" rel="noreferrer">
            <Icon name="open" /> Terminal in a new window
          </a>
        </div>
        <CommandLine command={`shadow exec --tty ${name} -- sh`} />
      </Section>
      <Section title="Sessions that hold the app now">
        {error && <Failure error={error} retry={reload} />}
        {sessions?.length === 0 && <p class="faint">Nobody has a session in it.</p>}
        {sessions !== undefined && sessions.length > 0 && (
          <ul class="stack">
            {sessions.map(({ what, since }) => (
              <li key={`${since} ${what}`}>
                {what}, since <Time at={since} />
              </li>
            ))}
          </ul>
        )}
      </Section>
    </>
  )
}
