import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

type Props = {
  readonly count: number
  readonly rowHeight: number
  /** The cells of the row at an index. */
  readonly row: (index: number) => ComponentChildren
  /** Which rows are in view; called again at each new `version` of the rows. */
  readonly onRange: (first: number, last: number) => void
  readonly version: unknown
}

const BEYOND = 8

/** The rows of a table of any length, of which only those in view exist. It scrolls with the page. */
export function VirtualList({ count, rowHeight, row, onRange, version }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const [range, setRange] = useState<readonly [number, number]>([0, 0])
  useLayoutEffect(() => {
    const measure = (): void => {
      const top = box.current?.getBoundingClientRect().top ?? 0
      const first = Math.max(0, Math.floor(-top / rowHeight) - BEYOND)
      const last = Math.max(first, Math.min(count, Math.ceil((innerHeight - top) / rowHeight) + BEYOND))
      setRange(before => (before[0] === first && before[1] === last ? before : [first, last]))
    }
    measure()
    addEventListener('scroll', measure, { passive: true })
    addEventListener('resize', measure)
    return () => {
      removeEventListener('scroll', measure)
      removeEventListener('resize', measure)
    }
  }, [count, rowHeight])
  const [first, last] = [range[0], Math.min(range[1], count)]
  useEffect(() => onRange(first, last), [first, last, count, version])
  const indexes = Array.from({ length: Math.max(0, last - first) }, (_, at) => first + at)
  return (
    // biome-ignore lint/a11y/useSemanticElements: rows that are placed by themselves cannot stand in a table element
    <div ref={box} class="virtual" role="rowgroup" style={{ height: `${count * rowHeight}px` }}>
      {indexes.map(index => (
        // biome-ignore lint/a11y/useSemanticElements: as above
        <div
          key={index}
          role="row"
          tabIndex={-1}
          aria-rowindex={index + 2}
          class="apps-row virtual-row"
          style={{ transform: `translateY(${index * rowHeight}px)`, height: `${rowHeight}px` }}
        >
          {row(index)}
        </div>
      ))}
    </div>
  )
}
