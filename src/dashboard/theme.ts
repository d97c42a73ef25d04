import { store } from './store.ts'

export const THEMES = ['auto', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

const KEY = 'shadow-theme'

const stored = (): Theme => THEMES.find(theme => theme === localStorage.getItem(KEY)) ?? 'auto'

/** Which colours the page has; `auto` follows the system. */
export const theme = store<Theme>(stored())

export function applyTheme(next: Theme = theme.value): void {
  if (next === 'auto') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = next
  localStorage.setItem(KEY, next)
  theme.set(next)
}
