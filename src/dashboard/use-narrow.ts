import { useEffect, useState } from 'preact/hooks'

const narrow = matchMedia('(max-width: 760px)')

/** Whether the window is as narrow as a phone's. */
export function useIsNarrow(): boolean {
  const [isNarrow, set] = useState(narrow.matches)
  useEffect(() => {
    const change = (): void => set(narrow.matches)
    narrow.addEventListener('change', change)
    return () => narrow.removeEventListener('change', change)
  }, [])
  return isNarrow
}
