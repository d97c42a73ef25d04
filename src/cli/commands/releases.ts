import type { Command } from 'commander'
import type { z } from 'zod'
import type { ReleaseSchema } from '../../api/release-calls.ts'
import { sayChanges } from '../../model/say-changes.ts'
import { sayImage, sayMade } from '../../model/say-release.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Release = z.output<typeof ReleaseSchema>

export function define(command: Command, terminal: Terminal): void {
  command.argument('<name>', 'the app').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const { items, silent } = await orNearApps(master, name, () =>
      master.call('listReleases', { params: { app: name } }),
    )
    print(terminal, flags.json, { releases: items, silent }, () =>
      table(
        terminal,
        ['RELEASE', 'MADE', 'BY', 'IMAGE', 'SECRETS', 'STATE', 'CHANGED'],
        items.map((release, at) => [
          String(release.revision),
          release.createdAt,
          sayMade(release.made),
          sayImage(release.image, release.digest),
          release.secretsVersion === null ? '-' : `version ${release.secretsVersion}`,
          stateOf(release),
          [release.made?.note && `"${release.made.note}"`, at === items.length - 1 ? '-' : sayChanges(release.changes)]
            .filter(Boolean)
            .join(' '),
        ]),
      ),
    )
    if (silent.length > 0) terminal.err(`what serves on ${silent.join(', ')} is not known: no answer\n`)
  })
  command.addHelpText(
    'after',
    `
STATE: current is what the next wake runs; serves is what an awake instance runs; rejected did not get ready, and an earlier release
runs in its place; ready did, as its node told when the next release was made.`,
  )
  callsMaster(command, 'shadow releases blog')
}

function stateOf({ isCurrent, serves, outcome }: Release): string {
  const rest = serves ? 'serves' : outcome
  return [isCurrent && 'current', rest].filter(Boolean).join(', ') || '-'
}
