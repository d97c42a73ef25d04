import type { IconName } from './icon.tsx'

type Entry = { readonly to: string; readonly text: string; readonly icon: IconName; readonly forAdmins?: true }

export const NAVIGATION: readonly Entry[] = [
  { to: '/', text: 'Apps', icon: 'apps' },
  { to: '/nodes', text: 'Nodes', icon: 'nodes', forAdmins: true },
  { to: '/usage', text: 'Usage', icon: 'usage' },
  { to: '/access', text: 'Access', icon: 'access', forAdmins: true },
]
