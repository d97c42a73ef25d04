import { ShadowError } from '../lib/errors.ts'
import type { Terminal } from './terminal.ts'

const MOST_BYTES = 1_048_576

/** All of stdin as text. Fails with `bad-input` if it is a terminal, too large, or not UTF-8. */
export async function readStdin({ pipes }: Terminal, hint: string): Promise<string> {
  if (pipes.inIsTerminal) throw new ShadowError('bad-input', 'nothing comes by a pipe', { hint })
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of pipes.in) {
    bytes += chunk.length
    if (bytes > MOST_BYTES) throw new ShadowError('too-large', `stdin has more than ${MOST_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks))
  } catch (cause) {
    throw new ShadowError('bad-input', 'stdin is not UTF-8, and a variable has to be', {
      cause,
      hint: 'encode it, for example by base64',
    })
  }
}

/**
 * The secrets that `shadow secrets set` is given as `NAME`, `NAME=-` or `NAME=VALUE`. A name alone is asked for on the terminal without
 * showing what is typed, or read from stdin if that is a pipe.
 */
export async function givenSecrets(
  terminal: Terminal,
  app: string,
  given: readonly string[],
): Promise<Record<string, string>> {
  const secrets = new Map<string, string>()
  const fromStdin = given.filter(one => one.endsWith('=-') || (!one.includes('=') && !terminal.pipes.inIsTerminal))
  if (fromStdin.length > 1)
    throw new ShadowError('bad-input', 'stdin has one value only, and several secrets would take it', {
      hint: `set them one by one, or: shadow secrets import ${app} < .env`,
    })
  for (const one of given) {
    const equals = one.indexOf('=')
    const name = equals < 0 ? one : one.slice(0, equals)
    if (name === '') throw new ShadowError('bad-input', 'a secret has no name before its =')
    if (fromStdin.includes(one)) secrets.set(name, await fromPipe(terminal, app, name))
    else if (equals < 0) secrets.set(name, await typed(terminal, name))
    else {
      terminal.err(
        `warning: the value of ${name} was on the command line: it is in the history of your shell, and other users could see it in ps\n`,
      )
      secrets.set(name, one.slice(equals + 1))
    }
  }
  return Object.fromEntries(secrets)
}

async function fromPipe(terminal: Terminal, app: string, name: string): Promise<string> {
  const value = (await readStdin(terminal, `shadow secrets set ${app} ${name} < FILE`)).replace(/\r?\n$/, '')
  // The program before the pipe may have failed.
  if (value === '')
    throw new ShadowError('bad-input', `the value of ${name} is empty; nothing was changed`, {
      hint: `to take it away: shadow secrets unset ${app} ${name}; to set it to nothing: ${name}=`,
    })
  return value
}

async function typed(terminal: Terminal, name: string): Promise<string> {
  const value = await terminal.askSecret(`Value of ${name}: `)
  if (value === undefined || value === '')
    throw new ShadowError('bad-input', `no value was given for ${name}; nothing was changed`)
  return value
}
