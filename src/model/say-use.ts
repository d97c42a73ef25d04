import type { HoldView } from './instance.ts'

/** What keeps an app awake, in a few words. What a session or a connection does says already that it is one. */
export function sayUse({ kind, what }: Pick<HoldView, 'kind' | 'what'>): string {
  if (kind === 'companion') return `${what}, which uses it`
  return kind === 'session' || kind === 'connection' ? what : `${kind} ${what}`
}
