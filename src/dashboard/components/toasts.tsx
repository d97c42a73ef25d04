import { store, useStore } from '../store.ts'

type Toast = { readonly id: number; readonly text: string; readonly kind: 'done' | 'failed' }

const STAYS_MS = 6_000
const toasts = store<readonly Toast[]>([])
let last = 0

/** Shows a short message for some seconds. Screen readers read it. */
export function toast(text: string, kind: Toast['kind'] = 'done'): void {
  last += 1
  const one = { id: last, text, kind }
  toasts.set([...toasts.value, one])
  setTimeout(() => toasts.set(toasts.value.filter(other => other !== one)), STAYS_MS)
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {useStore(toasts).map(({ id, text, kind }) => (
        <div key={id} class={`toast ${kind}`}>
          {text}
        </div>
      ))}
    </div>
  )
}
