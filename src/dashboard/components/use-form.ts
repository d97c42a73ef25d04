import { useRef, useState } from 'preact/hooks'
import type { ApiError } from '../api.ts'

type Value = string | boolean
type Values = Readonly<Record<string, Value>>

/** What was typed into a form, over what is stored. */
export type FormState<V extends Values = Values> = {
  /** What the fields show. */
  readonly values: V
  /** The fields that were changed, with what was typed. */
  readonly changed: Partial<V>
  readonly isChanged: boolean
  /** What somebody else stored in a field after this person typed into it; undefined: nobody did. */
  readonly meanwhile: (name: string) => Value | undefined
  readonly set: (name: string, value: Value) => void
  /** Forgets what was typed. */
  readonly reset: () => void
  readonly error: ApiError | undefined
  readonly isSaving: boolean
  /** Runs a call. What was typed stays if it fails, and is forgotten if it succeeds. Answers whether it did. */
  readonly submit: (run: () => Promise<unknown>) => Promise<boolean>
}

/** `stored`: what is stored now. Fields that nobody typed into follow it. */
export function useForm<V extends Values>(stored: V): FormState<V> {
  const [typed, setTyped] = useState<Values>({})
  const base = useRef<Record<string, Value | undefined>>({})
  const [error, setError] = useState<ApiError>()
  const [isSaving, setSaving] = useState(false)
  const changed = Object.fromEntries(
    Object.entries(typed).filter(([name, value]) => value !== (stored[name] ?? emptyOf(value))),
  )
  const reset = (): void => {
    setTyped({})
    setError(undefined)
  }
  return {
    values: { ...stored, ...typed },
    changed: changed as Partial<V>,
    isChanged: Object.keys(changed).length > 0,
    meanwhile: name => (name in changed && stored[name] !== base.current[name] ? stored[name] : undefined),
    set(name, value) {
      if (!(name in typed)) base.current[name] = stored[name]
      setTyped(before => ({ ...before, [name]: value }))
    },
    reset,
    error,
    isSaving,
    async submit(run) {
      if (isSaving) return false
      setSaving(true)
      setError(undefined)
      try {
        await run()
        reset()
        return true
      } catch (failure) {
        setError(failure as ApiError)
        return false
      } finally {
        setSaving(false)
      }
    },
  }
}

const emptyOf = (value: Value): Value => (typeof value === 'boolean' ? false : '')
