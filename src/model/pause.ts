import { ShadowError } from '../lib/errors.ts'
import type { AppName } from './names.ts'

/** An app that somebody has paused: nothing wakes it until it is resumed. It is a part of the app's document, so fronts and nodes know it while no master answers. */
export type Pause = {
  /** ISO 8601. */
  readonly at: string
  /** The name of the token of whoever paused it. */
  readonly by: string
  /** As that person wrote it. */
  readonly why?: string | undefined
}

export const LONGEST_PAUSE_REASON = 200

/** The pause in words: `paused since 2026-11-30T02:00:00.000Z by admin: moved to the new site`. */
export const sayPause = ({ at, by, why }: Pause): string =>
  `paused since ${at} by ${by}${why === undefined ? '' : `: ${why}`}`

/** Whatever would wake a paused app fails with this. */
export const isPaused = (app: AppName, pause: Pause): ShadowError =>
  new ShadowError('app-paused', `${app} is ${sayPause(pause)}`, { hint: `shadow resume ${app}` })
