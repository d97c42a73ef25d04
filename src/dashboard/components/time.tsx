import { sayAbsolute, sayCountdown, sayDuration, sayRelative } from '../format.ts'
import { store, useStore } from '../store.ts'

const now = store(Date.now())
setInterval(() => document.visibilityState === 'visible' && now.set(Date.now()), 1_000)

/** The time, second by second while the page is visible. */
export const useNow = (): number => useStore(now)

/** A moment, relative to now; the absolute time stands in its title. */
export function Time({ at }: { at: string }) {
  const ms = Date.parse(at)
  return (
    <time dateTime={at} title={sayAbsolute(ms)}>
      {sayRelative(ms, useNow())}
    </time>
  )
}

/** For how long something has been so; the moment stands in its title. */
export function Since({ at }: { at: string }) {
  const ms = Date.parse(at)
  return (
    <time dateTime={at} title={`since ${sayAbsolute(ms)}`}>
      for {sayDuration(Math.max(0, useNow() - ms) / 1_000)}
    </time>
  )
}

/** A countdown to a moment. */
export function Countdown({ to }: { to: string }) {
  const ms = Date.parse(to)
  return (
    <time dateTime={to} title={sayAbsolute(ms)} class="num">
      {sayCountdown((ms - useNow()) / 1_000)}
    </time>
  )
}
