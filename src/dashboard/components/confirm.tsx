import type { ComponentChildren } from 'preact'
import { useId, useState } from 'preact/hooks'
import type { ApiError } from '../api.ts'
import { CommandLine } from './command-line.tsx'
import { Dialog } from './dialog.tsx'
import { Failure } from './failure.tsx'

type Props = {
  readonly title: string
  readonly action: string
  /** The command of the CLI that does the same. */
  readonly command: string
  /** What has to be typed before the button works: the name of what is destroyed. */
  readonly typed?: string
  readonly children?: ComponentChildren
  readonly onClose: () => void
  readonly run: () => Promise<unknown>
}

/** Asks before something is done, shows the command that does the same, and what went wrong if it fails. */
export function Confirm({ title, action, command, typed, children, onClose, run }: Props) {
  const [text, setText] = useState('')
  const [isRunning, setRunning] = useState(false)
  const [error, setError] = useState<ApiError>()
  const inputId = useId()
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    setRunning(true)
    setError(undefined)
    try {
      await run()
      onClose()
    } catch (failure) {
      setError(failure as ApiError)
      setRunning(false)
    }
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit} class="stack">
        {children}
        {typed !== undefined && (
          <label for={inputId} class="field">
            <span>
              Type <code>{typed}</code> to confirm
            </span>
            <input
              id={inputId}
              value={text}
              onInput={event => setText(event.currentTarget.value)}
              autocomplete="off"
              spellcheck={false}
            />
          </label>
        )}
        <CommandLine command={command} />
        {error && <Failure error={error} />}
        <div class="row end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            class={typed === undefined ? 'primary' : 'danger'}
            disabled={isRunning || (typed !== undefined && text !== typed)}
          >
            {isRunning ? 'Working…' : action}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
