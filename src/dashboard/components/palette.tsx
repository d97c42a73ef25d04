import { useEffect, useRef, useState } from 'preact/hooks'
import type { AppRow } from '../../model/overview.ts'
import { call } from '../api.ts'
import { go } from '../router.ts'
import { store, useStore } from '../store.ts'
import { Dialog } from './dialog.tsx'
import { NAVIGATION } from './navigation.ts'
import { Phase, type PhaseOf } from './phase.tsx'

const isOpen = store(false)
export const openPalette = (): void => isOpen.set(true)

type Entry = { readonly key: string; readonly text: string; readonly row?: PhaseOf; readonly to: string }

const PAGES: readonly Entry[] = [
  ...NAVIGATION.map(({ to, text }) => ({ key: to, text: `Go to ${text}`, to })),
  { key: '/new', text: 'New app', to: '/new' },
]

/** Ctrl-K or Cmd-K: goes to any app or page by a part of its name. `/` opens it too, outside of fields. */
export function Palette() {
  const open = useStore(isOpen)
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLElement && event.target.matches('input, textarea, select')
      const isAsked = event.key === 'k' && (event.ctrlKey || event.metaKey)
      if (!isAsked && !(event.key === '/' && !isTyping)) return
      event.preventDefault()
      isOpen.set(true)
    }
    addEventListener('keydown', onKey)
    return () => removeEventListener('keydown', onKey)
  }, [])
  return open ? <OpenPalette /> : null
}

function OpenPalette() {
  const [text, setText] = useState('')
  const [found, setFound] = useState<{ text: string; apps: readonly AppRow[] }>({ text: '', apps: [] })
  const [at, setAt] = useState(0)
  const list = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const gone = new AbortController()
    call('getOverview', { query: { search: text, limit: 8 }, signal: gone.signal }).then(
      ({ items }) => setFound({ text, apps: items }),
      () => undefined, // without an answer, pages can be chosen still
    )
    return () => gone.abort()
  }, [text])
  const words = text.toLowerCase()
  // Until the answer for these words is there, Enter must not open an app that was found by others.
  const apps = found.text === text ? found.apps : found.apps.filter(({ app }) => app.includes(words))
  const entries: readonly Entry[] = [
    ...apps.map(row => ({ key: `app ${row.app}`, text: row.app, row, to: `/apps/${row.app}` })),
    ...PAGES.filter(page => page.text.toLowerCase().includes(words)),
  ]
  const chosen = Math.min(at, entries.length - 1)
  const choose = (entry: Entry | undefined): void => {
    if (entry === undefined) return
    isOpen.set(false)
    go(entry.to)
  }
  const onKey = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step !== undefined) {
      event.preventDefault()
      setAt(Math.max(0, Math.min(entries.length - 1, chosen + step)))
    } else if (event.key === 'Enter') {
      event.preventDefault()
      choose(entries[chosen])
    }
  }
  return (
    <Dialog title="Find an app or a page" onClose={() => isOpen.set(false)}>
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={entries.length > 0 ? `palette-${chosen}` : undefined}
        aria-label="Name of an app or a page"
        placeholder="Name of an app or a page"
        value={text}
        onInput={event => {
          setText(event.currentTarget.value)
          setAt(0)
        }}
        onKeyDown={onKey}
        autocomplete="off"
        spellcheck={false}
      />
      <div ref={list} id="palette-list" role="listbox" aria-label="Found" class="palette-list">
        {entries.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys go to the field above, which names the active one
          <div
            key={entry.key}
            id={`palette-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === chosen}
            onClick={() => choose(entry)}
          >
            <span>{entry.text}</span>
            {entry.row !== undefined && <Phase of={entry.row} />}
          </div>
        ))}
      </div>
    </Dialog>
  )
}
