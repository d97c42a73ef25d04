import { ShadowError } from '../lib/errors.ts'
import type { Terminal } from './terminal.ts'

/** Asks the user to type the name before data is destroyed. `--yes` skips the question; without a terminal it is required. */
export async function confirm(terminal: Terminal, yes: true | undefined, action: string, name: string): Promise<void> {
  if (yes) return
  if (!terminal.interactive)
    throw new ShadowError('bad-input', `this ${action}, and nobody is here to confirm it`, { hint: 'add --yes' })
  const typed = await terminal.ask(`This ${action}. Type "${name}" to go on: `)
  if (typed.trim() !== name) throw new ShadowError('bad-input', `"${typed.trim()}" is not "${name}"; nothing was done`)
}
