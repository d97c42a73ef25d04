import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { ShadowError } from '../lib/errors.ts'
import type { Terminal } from './terminal.ts'

/** Opens the URL with the program of BROWSER or, without that, the usual one of the system. */
export async function openBrowser({ env }: Terminal, url: string): Promise<void> {
  const program = env['BROWSER'] ?? (process.platform === 'darwin' ? 'open' : 'xdg-open')
  const started = spawn(program, [url], { stdio: 'ignore', detached: true })
  try {
    await once(started, 'spawn')
  } catch (cause) {
    throw new ShadowError('not-found', `no browser was opened: ${program} cannot be started`, {
      cause,
      hint: `set BROWSER to the program, or open the URL yourself: ${url}`,
    })
  }
  started.unref()
}
