import { readFile } from 'node:fs/promises'
import { ShadowError } from '../lib/errors.ts'
import { readSettings } from '../lib/settings.ts'
import { cliSettings } from './config.ts'
import type { Terminal } from './terminal.ts'

const LEAST = 8

export const PASSPHRASE_FILE = [
  '--passphrase-file <file>',
  'the passphrase of its secrets is in this file; else in SHADOW_PASSPHRASE, or it is asked for',
] as const

/** The passphrase of an archive: from the file, SHADOW_PASSPHRASE, or typed on the terminal, a new one twice. Fails with `bad-input`. */
export async function readPassphrase(
  terminal: Terminal,
  file: string | undefined,
  what: 'new' | 'known',
): Promise<string> {
  const { passphrase } = readSettings(cliSettings, terminal.env)
  const given = file === undefined ? passphrase : await inFile(file)
  const typed = given ?? (await terminal.askSecret('Passphrase of the secrets: '))
  if (typed === undefined)
    throw new ShadowError(
      'bad-input',
      'the app has an environment or secrets, which need a passphrase, and nobody is here to type one',
      {
        hint: 'SHADOW_PASSPHRASE, or --passphrase-file FILE',
      },
    )
  if (what === 'known') return typed
  if (typed.length < LEAST)
    throw new ShadowError('bad-input', `the passphrase has ${typed.length} characters; it needs at least ${LEAST}`)
  if (given === undefined && (await terminal.askSecret('The same again: ')) !== typed)
    throw new ShadowError('bad-input', 'the two passphrases differ; nothing was done')
  return typed
}

async function inFile(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '')
  } catch (cause) {
    throw new ShadowError('bad-input', `--passphrase-file: ${(cause as Error).message}`, { cause })
  }
}
