import { useEffect, useState } from 'preact/hooks'
import type { LogLine } from '../../../../model/instance.ts'
import type { ApiError } from '../../../api.ts'
import { type Block, LogBuffer } from './log-buffer.ts'
import { type LogAsked, queryOf } from './log-query.ts'
import { readLog } from './log-stream.ts'

/** So many lines stay in the page. */
const MOST_LINES = 4_000
const TAIL = 1_000
/** More lines than these are not read before those are drawn, so that a flood cannot freeze the page. */
const MOST_PENDING = 400
/** A page that is not visible draws no frames. */
const HIDDEN_MS = 500

export type ShownLog = {
  readonly blocks: readonly Block[]
  readonly count: number
  readonly dropped: number
  readonly state: 'reading' | 'live' | 'lost' | 'ended'
  readonly error: ApiError | undefined
}

const NOTHING: ShownLog = { blocks: [], count: 0, dropped: 0, state: 'reading', error: undefined }

/** The newest lines of an app's log; drawn at most once a frame. */
export function useLog(app: string, asked: LogAsked, isLive: boolean): ShownLog {
  const [shown, setShown] = useState<ShownLog>(NOTHING)
  const key = JSON.stringify(asked)
  useEffect(() => {
    const gone = new AbortController()
    const buffer = new LogBuffer(MOST_LINES)
    let pending: LogLine[] = []
    let drawn: PromiseWithResolvers<void> | undefined
    setShown(NOTHING)

    const draw = (): void => {
      if (gone.signal.aborted) return
      buffer.add(pending)
      pending = []
      const { blocks, count, dropped } = buffer
      setShown(before => ({ ...before, blocks, count, dropped }))
      drawn?.resolve()
      drawn = undefined
    }
    const take = async (lines: readonly LogLine[]): Promise<void> => {
      for (let at = 0; at < lines.length; at += MOST_PENDING) {
        pending.push(...lines.slice(at, at + MOST_PENDING))
        if (drawn === undefined) {
          drawn = Promise.withResolvers()
          if (document.visibilityState === 'visible') requestAnimationFrame(draw)
          else setTimeout(draw, HIDDEN_MS)
        }
        if (pending.length >= MOST_PENDING) await drawn.promise
      }
    }
    const query = queryOf(asked)
    // What was asked for in a time is read from its beginning on, as far as it stays in the page.
    const tail = asked.since === '' && query.grep === undefined ? TAIL : MOST_LINES
    readLog({
      app,
      query,
      tail,
      isLive,
      signal: gone.signal,
      take,
      onState: state => setShown(before => ({ ...before, state })),
    }).then(
      () => !gone.signal.aborted && setShown(before => ({ ...before, state: 'ended' })),
      (error: ApiError) => !gone.signal.aborted && setShown(before => ({ ...before, error, state: 'ended' })),
    )
    return () => {
      gone.abort()
      drawn?.resolve()
    }
  }, [app, key, isLive])
  return shown
}
