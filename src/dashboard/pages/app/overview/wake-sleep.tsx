import { useState } from 'preact/hooks'
import type { InstanceView } from '../../../../model/instance.ts'
import type { AppRow } from '../../../../model/overview.ts'
import { sayUse } from '../../../../model/say-use.ts'
import { type ApiError, call } from '../../../api.ts'
import { CommandLine } from '../../../components/command-line.tsx'
import { Confirm } from '../../../components/confirm.tsx'
import { Failure } from '../../../components/failure.tsx'
import { toast } from '../../../components/toasts.tsx'
import { sayDuration } from '../../../format.ts'

type Props = { readonly app: string; readonly row: AppRow | undefined }

const keeping = ({ holds }: InstanceView) => holds.filter(({ isIgnored }) => isIgnored !== true)

const TEXTS = { wake: 'Wake now', sleep: 'Put to sleep', resume: 'Resume' } as const

/** Wakes the app, or puts it to sleep; asks before that if somebody uses it. */
export function WakeSleep({ app, row }: Props) {
  const [busy, setBusy] = useState<'wake' | 'sleep' | 'resume'>()
  const [used, setUsed] = useState<InstanceView>()
  const [error, setError] = useState<ApiError>()
  const canSleep = ['awake', 'frozen', 'suspended', 'stuck'].includes(row?.phase ?? '')
  const verb = canSleep ? 'sleep' : row?.isPaused ? 'resume' : 'wake'
  const isChanging = row?.phase === 'waking' || row?.phase === 'stopping'

  const wake = (): Promise<unknown> => call('wakeApp', { params: { app } }).then(() => toast(`${app} is awake`))
  const resume = (): Promise<unknown> =>
    call('resumeApp', { params: { app } }).then(() => toast(`The next request wakes ${app}`))
  const sleep = (): Promise<unknown> => call('sleepApp', { params: { app } }).then(() => toast(`${app} sleeps`))
  const sleepIfUnused = async (): Promise<unknown> => {
    // What the page knows of its uses may be some seconds old.
    const instance = await call('getInstance', { params: { app } })
    return keeping(instance).length > 0 ? setUsed(instance) : sleep()
  }
  const run = async (): Promise<void> => {
    setBusy(verb)
    setError(undefined)
    const act = { wake, resume, sleep: sleepIfUnused }[verb]
    await act().catch((failure: ApiError) => setError(failure))
    setBusy(undefined)
  }
  const uses = used === undefined ? [] : keeping(used)
  return (
    <div class="stack wake-sleep">
      <div class="row">
        <button
          type="button"
          class={verb === 'sleep' ? '' : 'primary'}
          onClick={run}
          disabled={row === undefined || isChanging || busy !== undefined}
        >
          {busy === 'wake' || row?.phase === 'waking'
            ? 'Waking…'
            : busy === 'sleep' || row?.phase === 'stopping'
              ? 'Going to sleep…'
              : TEXTS[verb]}
        </button>
        <CommandLine command={`shadow ${verb} ${app}`} />
      </div>
      {error && <Failure error={error} />}
      {used !== undefined && (
        <Confirm
          title={`Put ${app} to sleep while it is in use?`}
          action="Put to sleep"
          command={`shadow sleep ${app}`}
          onClose={() => setUsed(undefined)}
          run={sleep}
        >
          <p>
            {uses.length === 1 ? 'One use keeps it awake' : `${uses.length} uses keep it awake`}
            {used.drain && `, and may go on for ${sayDuration(used.drain.stopMs / 1_000)}`}. What is not done then is
            cut.
          </p>
          <ul class="uses">
            {uses.slice(0, 5).map(({ kind, what, since }) => (
              <li key={`${since} ${kind} ${what}`}>{sayUse({ kind, what })}</li>
            ))}
          </ul>
        </Confirm>
      )}
    </div>
  )
}
