import type { ITheme } from '@xterm/xterm'

const LIGHT: ITheme = {
  background: '#ffffff',
  foreground: '#151922',
  cursor: '#4150cf',
  cursorAccent: '#ffffff',
  selectionBackground: '#c9d0f7',
  black: '#151922',
  red: '#b3261e',
  green: '#0b6b42',
  yellow: '#7d4e00',
  blue: '#2f48c4',
  magenta: '#8a2a8f',
  cyan: '#0b6673',
  white: '#59616f',
  brightBlack: '#565f70',
  brightRed: '#c2372e',
  brightGreen: '#0b7548',
  brightYellow: '#8a5200',
  brightBlue: '#4150cf',
  brightMagenta: '#9a3aa0',
  brightCyan: '#0d7280',
  brightWhite: '#2c3240',
}

const DARK: ITheme = {
  background: '#0e1016',
  foreground: '#e7eaf1',
  cursor: '#93a5ff',
  cursorAccent: '#0e1016',
  selectionBackground: '#333c66',
  black: '#3b4253',
  red: '#ff9188',
  green: '#63d8a4',
  yellow: '#f2bb4c',
  blue: '#93a5ff',
  magenta: '#e29be8',
  cyan: '#6fd3e0',
  white: '#cfd5e1',
  brightBlack: '#8d97aa',
  brightRed: '#ffaca5',
  brightGreen: '#8be7bd',
  brightYellow: '#f8d27f',
  brightBlue: '#b4c0ff',
  brightMagenta: '#eebbf2',
  brightCyan: '#9be3ec',
  brightWhite: '#ffffff',
}

const dark = matchMedia('(prefers-color-scheme: dark)')

/** The colours of the terminal in the theme of the page. */
export function coloursNow(): ITheme {
  const { theme } = document.documentElement.dataset
  return theme === 'dark' || (theme === undefined && dark.matches) ? DARK : LIGHT
}

/** Calls back when the colours of the system change; returns the function that ends it. */
export function followColours(listener: () => void): () => void {
  dark.addEventListener('change', listener)
  return () => dark.removeEventListener('change', listener)
}
