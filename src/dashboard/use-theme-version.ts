import { useEffect, useState } from 'preact/hooks'
import { useStore } from './store.ts'
import { theme } from './theme.ts'

const dark = matchMedia('(prefers-color-scheme: dark)')

/** Another value whenever the colours of the page have changed, for what is drawn on a canvas. */
export function useThemeVersion(): string {
  const chosen = useStore(theme)
  const [isDark, set] = useState(dark.matches)
  useEffect(() => {
    const change = (): void => set(dark.matches)
    dark.addEventListener('change', change)
    return () => dark.removeEventListener('change', change)
  }, [])
  return `${chosen} ${isDark}`
}
