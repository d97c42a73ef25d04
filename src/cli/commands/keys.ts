import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { type CallFlags, callsMaster, collect } from '../command-options.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type AddFlags = CallFlags & { readonly app?: readonly string[] }

export function define(command: Command, terminal: Terminal): void {
  command.description('public keys that open apps by SSH: add, ls, rm')
  const add = command
    .command('add')
    .description('let the owner of a public key open apps by SSH')
    .argument('<name>', 'a name for the key, such as that of its owner')
    .argument('<file>', 'the public key, such as ~/.ssh/id_ed25519.pub; -: stdin')
    .option('--app <app>', 'open this app alone; may be repeated; left out: all apps', collect)
    .action(async (name: string, file: string, flags: AddFlags) => {
      const publicKey = await readKey(terminal, file)
      const { master } = await findTarget(terminal, flags)
      const apps = flags.app === undefined ? {} : { apps: [...flags.app] }
      const key = await master.call('addSshKey', { body: { name, publicKey, ...apps } })
      print(
        terminal,
        flags.json,
        key,
        () => `${name} opens ${key.apps?.join(', ') ?? 'all apps'}: ${key.fingerprint}\n`,
      )
    })
  callsMaster(add, 'shadow keys add ann ~/.ssh/id_ed25519.pub', 'shadow keys add ci deploy.pub --app blog')
  const ls = command
    .command('ls')
    .description('list the keys, and the fingerprint of the SSH server')
    .action(async (flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      const keys = await master.call('listSshKeys', {})
      print(terminal, flags.json, keys, ({ items, host }) => {
        const rows = items.map(({ name, algorithm, fingerprint, apps }) => [
          name,
          apps?.join(',') ?? 'all',
          algorithm,
          fingerprint,
        ])
        const server =
          host === null ? 'no master serves SSH yet: SHADOW_SSH\n' : `host key of the SSH server: ${host}\n`
        return `${rows.length === 0 ? '' : table(terminal, ['key', 'apps', 'kind', 'fingerprint'], rows)}${server}`
      })
    })
  callsMaster(ls, 'shadow keys ls')
  const remove = command
    .command('rm')
    .description('let a key open nothing any more')
    .argument('<name>', 'the name of the key')
    .action(async (name: string, flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      await master.call('removeSshKey', { params: { key: name } })
      print(terminal, flags.json, { removed: name }, () => `${name} opens nothing any more\n`)
    })
  callsMaster(remove, 'shadow keys rm ann')
}

async function readKey({ pipes }: Terminal, file: string): Promise<string> {
  if (file === '-') return text(Readable.from(pipes.in))
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new ShadowError('bad-input', `${file} cannot be read: ${(cause as Error).message}`, {
      cause,
      hint: 'a key is made by: ssh-keygen -t ed25519',
    })
  }
}
