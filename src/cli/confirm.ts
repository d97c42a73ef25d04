import { ShadowError } from '../lib/errors.ts'
import type { Terminal } from './terminal.ts'

/** Has the name typed before something is destroyed; `--yes` goes without, and nothing else does where nobody can answer. */
export async function confirm(terminal: Terminal, yes: true | undefined, deed: string, name: string): Promise<void> {
  if (yes) return
  if (!terminal.interactive)
    throw new ShadowError('bad-input', `this ${deed}, and nobody is here to confirm it`, { hint: 'add --yes' })
  const typed = await terminal.ask(`This ${deed}. Type "${name}" to go on: `)
  if (typed.trim() !== name) throw new ShadowError('bad-input', `"${typed.trim()}" is not "${name}"; nothing was done`)
}
