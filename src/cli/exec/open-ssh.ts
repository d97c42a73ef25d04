import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ShadowError } from '../../lib/errors.ts'

export type SshServer = {
  readonly host: string
  readonly port: number
  /** Its public key, as a line of known_hosts has it: `ssh-ed25519 AAAA…`. */
  readonly hostKey: string
}

type Options = {
  readonly user: string
  readonly server: SshServer
  readonly words: readonly string[]
  readonly identity?: string | undefined
  readonly localForward?: readonly string[] | undefined
  readonly option?: readonly string[] | undefined
  readonly tty?: true | undefined
}

/** All masters have one key, whatever name and port they are reached by. */
const ALIAS = 'shadow'
/** A shell adds this to the number of the signal that ended a process. */
const BY_SIGNAL = 128
/** OpenSSH gets these from the terminal itself; this process must not end before it. */
const LEFT_TO_SSH: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT']

/**
 * Runs the OpenSSH client of this machine with this process's input and output; resolves with its exit code. The server must have the key that the
 * master has told: it is the only one in the known_hosts file that the client gets.
 */
export async function runOpenSsh(env: Readonly<Record<string, string | undefined>>, options: Options): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'shadow-ssh-'))
  const ignore = (): void => undefined
  for (const signal of LEFT_TO_SSH) process.on(signal, ignore)
  try {
    const known = join(folder, 'known_hosts')
    await writeFile(known, `${ALIAS} ${options.server.hostKey}\n`, { mode: 0o600 })
    const child = spawn('ssh', argumentsFor(known, options), { stdio: 'inherit', env })
    const end = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
    const [code, signal] = await end.catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT') throw cause
      throw new ShadowError('not-found', 'this machine has no OpenSSH client: there is no ssh on the PATH', {
        cause,
        hint: `install it (apt-get install openssh-client), or without SSH: shadow exec ${options.user} sh`,
      })
    })
    return code ?? BY_SIGNAL + (signal === null ? 0 : constants.signals[signal])
  } finally {
    for (const signal of LEFT_TO_SSH) process.off(signal, ignore)
    await rm(folder, { recursive: true, force: true })
  }
}

function argumentsFor(known: string, { user, server, words, identity, localForward, option, tty }: Options): string[] {
  // The first value of an option counts, so those of the user come after these.
  const own = [
    `UserKnownHostsFile="${known}"`,
    'GlobalKnownHostsFile=/dev/null',
    `HostKeyAlias=${ALIAS}`,
    'StrictHostKeyChecking=yes',
    'CheckHostIP=no',
    'UpdateHostKeys=no',
    'HostKeyAlgorithms=ssh-ed25519',
  ]
  return [
    ...own.flatMap(one => ['-o', one]),
    ...(option ?? []).flatMap(one => ['-o', one]),
    ...(identity === undefined ? [] : ['-o', 'IdentitiesOnly=yes', '-i', identity]),
    ...(localForward ?? []).flatMap(one => ['-L', one]),
    ...(tty ? ['-t'] : []),
    ...['-p', String(server.port), '-l', user, '--', server.host],
    ...words,
  ]
}
