import type { Command } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { NO_DEADLINE, STRICT } from '../change-app.ts'
import { type DomainFlags, updateDomains } from '../change-domains.ts'
import { type CallFlags, callsMaster, collect } from '../command-options.ts'
import { type DefinitionFlags, definitionOptions, toPatch } from '../definition-flags.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { printable } from '../printable.ts'
import { sayAllowed } from '../say-release.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { sayStage, waitForRevision } from '../wait-for-revision.ts'

type Flags = CallFlags & DefinitionFlags & DomainFlags & { readonly note?: string; readonly wait?: true }

export function define(command: Command, terminal: Terminal): void {
  definitionOptions(
    command
      .argument('<name>', 'the app')
      .argument('[command...]', "after --: what to run in place of the image's command")
      .option('--image <image>', 'the container image'),
  )
    .option('--unset-env <k>', 'take a variable away; may be repeated', collect)
    .option('--add-domain <hostname>', 'add a hostname; may be repeated', collect)
    .option('--remove-domain <hostname>', 'take a hostname away; may be repeated', collect)
    .option('--note <text>', 'why; shadow releases shows it')
    .option('--no-volume', 'run without its volume; the volume is kept')
    .option('--no-command', "go back to the image's command")
    .option('--wait', 'wake the app if it sleeps, tell each stage, and end when the new revision serves or is rejected')
    .action(async (name: string, words: string[], flags: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const patch = await toPatch(flags, words, terminal)
      if (Object.keys(patch).length === 0 && !changesDomains(flags))
        throw new ShadowError('bad-input', 'nothing to change was given', { hint: 'shadow update --help' })
      const app = await orNearApps(master, name, () =>
        changesDomains(flags)
          ? updateDomains(master, name, patch, flags)
          : master.call('updateApp', {
              params: { app: name },
              body: patch,
              query: { ...STRICT, note: flags.note },
              signal: NO_DEADLINE(),
            }),
      )
      print(terminal, flags.json, printable(app), () => '')
      terminal.err(`${app.name} is at revision ${app.task.revision}\n`)
      terminal.err(sayAllowed(app))
      await waitForRevision(master, app, {
        wake: flags.wait === true,
        ...(flags.wait && { onStage: stage => terminal.err(`${sayStage(stage)}\n`) }),
      })
    })
  callsMaster(
    command,
    'shadow update blog --image ghost:6 --env MAIL_FROM=blog@example.com',
    'shadow update blog --add-domain www.example.com --unset-env DEBUG',
  )
}

const changesDomains = (flags: DomainFlags): boolean =>
  flags.addDomain !== undefined || flags.removeDomain !== undefined
