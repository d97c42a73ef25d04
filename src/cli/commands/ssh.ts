import type { Command } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { CommandExit } from '../command-exit.ts'
import { collect, withExamples } from '../command-options.ts'
import { runOpenSsh, type SshServer } from '../exec/open-ssh.ts'
import { orNearApps } from '../near-apps.ts'
import { DIGESTS } from '../printable.ts'
import { findTarget, type Target } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { withoutDashes } from './exec.ts'

type Flags = {
  readonly context?: string
  readonly identity?: string
  readonly localForward?: readonly string[]
  readonly option?: readonly string[]
  readonly tty?: true
  readonly host?: string
  readonly port?: string
}

/** The exit code of OpenSSH itself: the connection failed, or the key was refused. */
const SSH_FAILED = 255

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .argument('[command...]', "the command line of the container's shell; left out: a login shell")
    .passThroughOptions()
    .option('-i, --identity <file>', 'use this private key; left out: those that OpenSSH finds')
    .option('-L, --local-forward <forward>', 'PORT:localhost:PORT, a port of the container; may be repeated', collect)
    .option('-o, --option <option>', 'an option of OpenSSH, such as LogLevel=DEBUG; may be repeated', collect)
    .option('-t, --tty', 'give the command a terminal')
    .option('--host <host>', 'where the SSH server is reached; left out: at the host of the master')
    .option('--port <port>', 'the port at which it is reached; left out: the one that the master listens on')
    .option('--context <name>', 'call the master of this context')
    .action(async (name: string, words: string[], flags: Flags) => {
      const target = await findTarget(terminal, flags)
      await orNearApps(target.master, name, () =>
        target.master.call('getApp', { params: { app: name }, query: DIGESTS }),
      )
      const server = await serverFor(name, target, flags)
      const code = await runOpenSsh(terminal.env, { user: name, server, ...flags, words: withoutDashes(words) })
      if (code === SSH_FAILED)
        terminal.err(
          `hint: if the key was refused, register yours: shadow keys add NAME ~/.ssh/id_ed25519.pub; shadow keys ls shows those that open ${name}\n`,
        )
      if (code !== 0) throw new CommandExit(code)
    })
  withExamples(
    command,
    'shadow ssh blog',
    "shadow ssh blog -- 'du -sh /data/*'",
    'shadow ssh blog -L 5432:localhost:5432',
  )
}

/** Where the SSH server is, and its key; fails if there is none, or if no key opens the app. */
async function serverFor(name: string, { master, url }: Target, flags: Flags): Promise<SshServer> {
  const { items, host, server } = await master.call('listSshKeys', {})
  if (!server) {
    const elsewhere = host === null ? '' : ', though another one has'
    throw new ShadowError('not-found', `the master at ${url} serves no SSH${elsewhere}`, {
      hint: `set SHADOW_SSH=0.0.0.0:2222 for the master and start it again; without SSH: shadow exec ${name} sh`,
    })
  }
  if (!items.some(({ apps }) => apps === null || apps.some(app => app === name)))
    throw new ShadowError('not-found', `no registered key opens ${name} by SSH`, {
      hint: `register yours: shadow keys add NAME ~/.ssh/id_ed25519.pub --app ${name}`,
    })
  const { hostKey, port } = server
  return {
    host: flags.host ?? new URL(url).hostname.replace(/^\[|\]$/g, ''),
    port: portOf(flags.port) ?? port,
    hostKey,
  }
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = Number(text)
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port
  throw new ShadowError('bad-input', `--port: "${text}" is no port`)
}
