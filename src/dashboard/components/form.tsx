import { type ComponentChildren, createContext } from 'preact'
import { useContext, useEffect, useRef } from 'preact/hooks'
import { CommandLine } from './command-line.tsx'
import { Failure } from './failure.tsx'
import type { FormState } from './use-form.ts'

const Context = createContext<FormState | undefined>(undefined)

/** The form around a field. */
export function useFormAround(): FormState {
  const form = useContext(Context)
  if (form === undefined) throw new Error('a field stands in no form')
  return form
}

type Props = {
  readonly form: FormState
  /** What the button says. */
  readonly action: string
  /** The command of the CLI that does the same. */
  readonly command: string
  readonly run: () => Promise<unknown>
  /** Whether the button works; left out: once something was changed. */
  readonly isReady?: boolean
  readonly children: ComponentChildren
}

/** A form with fields of `field.tsx`: its button, the command that does the same, and all faults that the master found. */
export function Form({ form, action, command, run, isReady = form.isChanged, children }: Props) {
  const element = useRef<HTMLFormElement>(null)
  const { error, isSaving, isChanged } = form
  useEffect(() => {
    if (error !== undefined) element.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
  }, [error])
  const submit = (event: Event): void => {
    event.preventDefault()
    void form.submit(run)
  }
  return (
    <Context.Provider value={form}>
      <form ref={element} onSubmit={submit} class="stack" noValidate>
        {children}
        {error && <Failure error={error} />}
        <div class="form-foot">
          <CommandLine command={command} />
          <div class="row">
            {isChanged && !isSaving && (
              <button type="button" class="quiet" onClick={form.reset}>
                Discard
              </button>
            )}
            <button type="submit" class="primary" disabled={isSaving || !isReady}>
              {isSaving ? 'Working…' : action}
            </button>
          </div>
        </div>
      </form>
    </Context.Provider>
  )
}
