import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'
import { useEffect, useRef } from 'preact/hooks'
import type { TerminalReply } from '../../api/terminal-calls.ts'
import { useStore } from '../store.ts'
import { theme } from '../theme.ts'
import { coloursNow, followColours } from './colours.ts'
import { type Connection, connect } from './connection.ts'

type Props = {
  readonly app: string
  readonly wake: boolean
  readonly onReply: (reply: TerminalReply) => void
  readonly onClose: () => void
}

const SCROLLBACK_LINES = 5_000

/** A terminal that is connected with a shell in the app's container, for as long as it is on the page. */
export function Screen({ app, wake, onReply, onClose }: Props) {
  const place = useRef<HTMLDivElement>(null)
  const shown = useRef<Terminal>(undefined)
  const now = useStore(theme)
  useEffect(() => {
    if (place.current === null) return
    const terminal = new Terminal({
      cursorBlink: !matchMedia('(prefers-reduced-motion: reduce)').matches,
      fontFamily: 'ui-monospace, "SF Mono", "Cascadia Code", "DejaVu Sans Mono", monospace',
      fontSize: 13,
      minimumContrastRatio: 4.5,
      screenReaderMode: true,
      scrollback: SCROLLBACK_LINES,
      theme: coloursNow(),
    })
    shown.current = terminal
    const fit = new FitAddon()
    terminal.loadAddon(fit)
    terminal.open(place.current)
    fit.fit()
    const encoder = new TextEncoder()
    const size = () => ({ columns: terminal.cols, rows: terminal.rows })
    const connection: Connection = connect({
      app,
      wake,
      size: size(),
      onReply,
      onOutput: (bytes, done) => terminal.write(bytes, done),
      onClose: () => {
        terminal.options.disableStdin = true
        onClose()
      },
    })
    terminal.onData(text => connection.type(encoder.encode(text)))
    terminal.onBinary(text => connection.type(Uint8Array.from(text, char => char.charCodeAt(0))))
    terminal.onResize(() => connection.resize(size()))
    // The terminal takes the Tab key: this one leads out of it.
    terminal.attachCustomKeyEventHandler(event => {
      if (!event.ctrlKey || event.key !== 'F6') return true
      document.querySelector<HTMLElement>('.terminal-bar button')?.focus()
      return false
    })
    terminal.focus()
    const resized = new ResizeObserver(() => fit.fit())
    resized.observe(place.current)
    return () => {
      resized.disconnect()
      connection.close()
      terminal.dispose()
    }
  }, [])
  useEffect(() => {
    const paint = (): void => {
      if (shown.current) shown.current.options.theme = coloursNow()
    }
    paint()
    return followColours(paint)
  }, [now])
  return <section ref={place} class="terminal-screen" aria-label={`Terminal of ${app}`} />
}
