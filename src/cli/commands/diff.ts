import type { Command } from 'commander'
import type { ReleaseChange } from '../../model/release-changes.ts'
import { shortDigest } from '../../model/say-release.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { revisionOf } from './rollback.ts'

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .argument('[release]', 'the earlier release; left out: the one before the current one')
    .argument('[other]', 'the later release; left out: the current one')
    .addHelpText('after', '\nVariables and secrets are shown as digests: equal values have equal digests.')
    .action(async (name: string, release: string | undefined, other: string | undefined, flags: CallFlags) => {
      const { master } = await findTarget(terminal, flags)
      const query = { from: release && revisionOf(release), to: other && revisionOf(other) }
      const { from, to, changes } = await orNearApps(master, name, () =>
        master.call('diffReleases', { params: { app: name }, query: query as object }),
      )
      print(terminal, flags.json, { app: name, from, to, changes }, () =>
        changes.length === 0 ? '' : table(terminal, ['FIELD', `RELEASE ${from}`, `RELEASE ${to}`], changes.map(row)),
      )
      if (changes.length === 0) terminal.err(`releases ${from} and ${to} of ${name} run the same\n`)
    })
  callsMaster(command, 'shadow diff blog', 'shadow diff blog 3', 'shadow diff blog 3 5')
}

const row = ({ field, before, after }: ReleaseChange): string[] => [field, say(field, before), say(field, after)]

function say(field: string, value: unknown): string {
  if (value === undefined) return '-'
  if (typeof value !== 'string') return JSON.stringify(value)
  if (/^(env|secrets)\./.test(field)) return `digest ${shortDigest(value)}`
  return /^sha256:/.test(value) ? shortDigest(value) : value
}
