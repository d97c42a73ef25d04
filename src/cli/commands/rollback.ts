import type { Command } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { sayImage } from '../../model/say-release.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { sayAllowed } from '../say-release.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { waitForRevision } from '../wait-for-revision.ts'

type Flags = CallFlags & { readonly note?: string }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .argument('[release]', 'the release to go back to; left out: the last one before the current one that was ready')
    .option('--note <text>', 'why; shadow releases shows it')
    .addHelpText(
      'after',
      `
It makes a new release with the definition, the image (by its digest) and the secrets of the earlier one. The domains, the access rules and
the scale of the app stay as they are, and so does the data of its volume. Secrets that are staged stay staged.`,
    )
    .action(async (name: string, release: string | undefined, { note, ...flags }: Flags) => {
      const { master } = await findTarget(terminal, flags)
      const to = release === undefined ? undefined : revisionOf(release)
      const { app, from, ...went } = await orNearApps(master, name, () =>
        master.call('rollbackApp', {
          params: { app: name },
          body: { to, note },
          query: DIGESTS,
          signal: new AbortController().signal, // a node may have to pull the image first
        }),
      )
      print(terminal, flags.json, { app: printable(app), from, ...went }, () => '')
      const { revision, image, pinned, secretsVersion } = app.task
      if (revision === from)
        return terminal.err(`${name} stays at release ${from}, which is the same as release ${went.to}\n`)
      const secrets = secretsVersion === undefined ? 'no secrets' : `secrets version ${secretsVersion}`
      terminal.err(
        `${name} is at release ${revision}, which is release ${went.to} again: ${sayImage(image, pinned?.digest ?? pinned?.id)}, ${secrets}\n`,
      )
      terminal.err('its domains, access rules, scale and data stay as they are\n')
      terminal.err(sayAllowed(app))
      await waitForRevision(master, app)
    })
  callsMaster(command, 'shadow rollback blog', 'shadow rollback blog 3 --note "the new one loses mail"')
}

/** The number of a release. */
export function revisionOf(text: string): number {
  const revision = Number(text)
  if (/^\d+$/.test(text) && revision > 0) return revision
  throw new ShadowError('bad-input', `"${text}" is not the number of a release`, { hint: 'shadow releases NAME' })
}
