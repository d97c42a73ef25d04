import { useEffect, useState } from 'preact/hooks'
import { call } from './api.ts'

const AT_MOST = 200
const AFTER_MS = 120

/** For each hour of the last week, for what share of it an app was awake. Read for the apps in view, once each. */
export function useActivity(apps: readonly string[]): (app: string | undefined) => readonly number[] | undefined {
  const [known, setKnown] = useState<ReadonlyMap<string, readonly number[]>>(new Map())
  const key = apps.join()
  useEffect(() => {
    const missing = apps.filter(app => !known.has(app)).slice(0, AT_MOST)
    if (missing.length === 0) return
    const gone = new AbortController()
    const read = (): Promise<void> =>
      call('getActivity', { query: { apps: missing.join() }, signal: gone.signal }).then(
        ({ items }) =>
          setKnown(before => new Map([...before, ...items.map(({ app, hours }) => [app, hours] as const)])),
        () => undefined, // the strip stays empty, and is read again with the next rows
      )
    const timer = setTimeout(() => void read(), AFTER_MS)
    return () => {
      clearTimeout(timer)
      gone.abort()
    }
  }, [key])
  return app => (app === undefined ? undefined : known.get(app))
}
