import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { LogBlock } from './line.tsx'
import type { ShownLog } from './use-log.ts'

type Props = {
  readonly app: string
  readonly log: ShownLog
  readonly classes: string
  readonly found: RegExp | undefined
}

const NEAR_END = 24

/** The lines. It stays at the newest one until the person scrolls up; a button leads back. */
export function LogPane({ app, log: { blocks, count, dropped }, classes, found }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const isPinned = useRef(true)
  const [newerFrom, setNewerFrom] = useState<number>()
  const total = count + dropped
  const toEnd = (): void => {
    const pane = box.current
    if (pane !== null) pane.scrollTop = pane.scrollHeight
  }
  useLayoutEffect(() => {
    if (isPinned.current) toEnd()
  }, [blocks, classes])
  const onScroll = (): void => {
    const pane = box.current
    if (pane === null) return
    const isAtEnd = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - NEAR_END
    if (isAtEnd === isPinned.current) return
    isPinned.current = isAtEnd
    setNewerFrom(isAtEnd ? undefined : total)
  }
  const jump = (): void => {
    isPinned.current = true
    setNewerFrom(undefined)
    toEnd()
    box.current?.focus()
  }
  const newer = newerFrom === undefined ? 0 : total - newerFrom
  return (
    <div class="log-place">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard */}
      <section ref={box} class={`log ${classes}`} aria-label={`Log of ${app}`} tabIndex={0} onScroll={onScroll}>
        {dropped > 0 && <p class="log-dropped faint">Older lines are not shown: download the log to read them.</p>}
        {blocks.map(block => (
          <LogBlock key={block.id} block={block} found={found} />
        ))}
      </section>
      {newerFrom !== undefined && (
        <button type="button" class="log-jump" onClick={jump}>
          Newest lines{newer > 0 && <span class="num"> · {newer > 9_999 ? '9999+' : newer} new</span>}
        </button>
      )}
    </div>
  )
}
