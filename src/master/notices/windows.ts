import type { Occurrence } from '../../model/notice.ts'
import { sayMs } from '../../model/quantities.ts'
import type { NoticeWindow, WatchState } from './watch-state.ts'

const WINDOW_MS = 600_000

type Windows = WatchState['windows']

const keyOf = ({ kind, subject }: Pick<Occurrence, 'kind' | 'subject'>): string => `${kind} ${subject}`

// A wall clock that was set back must not keep a window open.
const isOpen = ({ at }: NoticeWindow, now: number): boolean => now >= at && now - at < WINDOW_MS

/** Whether the occurrence is told now: nothing of its kind and subject was told lately. A window that has ended counts until it is summed up. */
export const isToldNow = (windows: Windows, occurrence: Occurrence): boolean => windows[keyOf(occurrence)] === undefined

/** The occurrence was told at this moment. */
export function opened(windows: Windows, occurrence: Pick<Occurrence, 'kind' | 'subject'>, now: number): void {
  windows[keyOf(occurrence)] = { at: now, times: 0, last: null }
}

/** Counts an occurrence that is not told now. */
export function counted(windows: Windows, occurrence: Occurrence): void {
  const window = windows[keyOf(occurrence)]
  if (window === undefined) return
  const { apps, ...last } = occurrence
  const times = window.times + (occurrence.times ?? 1)
  windows[keyOf(occurrence)] = { ...window, times, last: { ...last, ...(apps && { apps: [...apps] }) } }
}

/** Removes windows that have ended, and returns what they held back: of each kind and subject one occurrence that tells how often. */
export function heldBack(
  windows: Windows,
  now: number,
): readonly { readonly key: string; readonly sum: Occurrence | undefined }[] {
  return Object.entries(windows)
    .filter(([, window]) => !isOpen(window, now))
    .map(([key, { at, times, last }]) => ({
      key,
      sum:
        last === null
          ? undefined
          : ({
              ...last,
              detail:
                times === 1 ? last.detail : `${times} times in ${sayMs(WINDOW_MS)}; the last time: ${last.detail}`,
              times,
              mark: `since ${at}`,
            } as Occurrence),
    }))
}
