import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { shortDigest } from '../../model/say-release.ts'
import { addWire, removeWire, type WireFlags, wireOf } from '../change-wire.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { readDotEnv } from '../dotenv.ts'
import { orNearApps } from '../near-apps.ts'
import { print, table } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { sayAllowed } from '../say-release.ts'
import { givenSecrets, readStdin } from '../secret-values.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { waitForRevision } from '../wait-for-revision.ts'

type Flags = CallFlags & WireFlags & { readonly stage?: true; readonly note?: string }
type Patch = Readonly<Record<string, string | null>>

export function define(command: Command, terminal: Terminal): void {
  const changing = (name: string, says: string, ...examples: string[]): Command =>
    callsMaster(
      command
        .command(name)
        .description(says)
        .argument('<name>', 'the app')
        .option('--stage', 'make no release: the next one takes it')
        .option('--note <text>', 'why; shadow releases shows it'),
      ...examples,
    )

  changing(
    'set',
    'give secrets a value, which makes a release',
    'shadow secrets set blog API_KEY',
    'shadow secrets set blog TLS_KEY < key.pem',
    'pass show blog | shadow secrets set blog API_KEY=- --stage',
    'shadow secrets set blog API_KEY --wire api.example.com',
  )
    .option('--wire <host>', 'add them to the requests of the app to this host, and keep them out of its container')
    .option('--header <name>', 'with --wire: the header that gets them; left out: Authorization')
    .option(
      '--format <text>',
      'with --wire: how they are written there, with {} for the secret; left out: "Bearer {}" in Authorization, else "{}"',
    )
    .argument('<secret...>', 'NAME asks for the value without showing it; NAME=- or a pipe reads it from stdin')
    .addHelpText(
      'after',
      '\nThe newline at the end of stdin is left out. A value after NAME= is taken, with a warning.',
    )
    .action(async (name: string, given: string[], flags: Flags) => {
      const to = wireOf(flags)
      const values = await givenSecrets(terminal, name, given)
      if (to !== undefined) await addTo(terminal, name, Object.keys(values), to, flags)
      await change(terminal, name, values, flags)
    })

  changing(
    'import',
    'give secrets the values of a .env file on stdin, which makes a release',
    'shadow secrets import blog < .env',
  )
    .addHelpText(
      'after',
      '\nQuotes are taken off, and # begins a comment, as in .env files. Secrets that are not in the file stay as they are.',
    )
    .action(async (name: string, flags: Flags) => {
      const text = await readStdin(terminal, `shadow secrets import ${name} < .env`)
      const { variables, faults, notes } = readDotEnv(text)
      if (faults.length > 0)
        throw new ShadowError('bad-input', 'the file is no .env file; nothing was changed', { faults })
      for (const note of notes) terminal.err(`${note}\n`)
      if (variables.size === 0) throw new ShadowError('bad-input', 'stdin has no NAME=VALUE; nothing was changed')
      await change(terminal, name, Object.fromEntries(variables), flags)
    })

  changing('unset', 'take secrets away, which makes a release', 'shadow secrets unset blog API_KEY OLD_KEY')
    .argument('<secret...>', 'their names')
    .action(async (name: string, names: string[], flags: Flags) => {
      const { task } = await change(terminal, name, Object.fromEntries(names.map(one => [one, null])), flags)
      if (flags.stage || task.wire?.some(({ secret }) => names.includes(secret)) !== true) return
      const { master } = await findTarget(terminal, flags)
      await removeWire(master, name, names)
    })

  const ls = command
    .command('ls')
    .description('list secrets by name, with digests of their values')
    .argument('<name>', 'the app')
  callsMaster(ls, 'shadow secrets ls blog').action((name: string, flags: CallFlags) => list(terminal, name, flags))

  const apply = command
    .command('apply')
    .description('make a release with what is staged')
    .argument('<name>', 'the app')
    .option('--note <text>', 'why; shadow releases shows it')
  callsMaster(apply, 'shadow secrets apply blog').action(async (name: string, flags: Flags) => {
    await change(terminal, name, {}, flags)
  })

  const discard = command.command('discard').description('forget what is staged').argument('<name>', 'the app')
  callsMaster(discard, 'shadow secrets discard blog').action(async (name: string, flags: CallFlags) => {
    const { master } = await findTarget(terminal, flags)
    const { discarded } = await orNearApps(master, name, () => master.call('discardSecrets', { params: { app: name } }))
    print(terminal, flags.json, { app: name, discarded }, () => '')
    terminal.err(discarded.length === 0 ? 'nothing was staged\n' : `not staged any more: ${discarded.join(', ')}\n`)
  })
}

/** First how they are added, then their values: so no release has them as variables. */
async function addTo(
  terminal: Terminal,
  name: string,
  secrets: readonly string[],
  to: NonNullable<ReturnType<typeof wireOf>>,
  flags: CallFlags,
): Promise<void> {
  const { master } = await findTarget(terminal, flags)
  await orNearApps(master, name, () => addWire(master, name, secrets, to))
  terminal.err(
    `${secrets.join(', ')}: added to requests of ${name} to ${to.host} (${to.header}), and not in its container\n`,
  )
}

async function change(terminal: Terminal, name: string, body: Patch, { stage, note, ...flags }: Flags): Promise<App> {
  const { master } = await findTarget(terminal, flags)
  const query = { strict: 'true', stage: stage ? 'true' : 'false', note, ...DIGESTS } as const
  const signal = new AbortController().signal // its node may be slow to check the release
  const { app, changed } = await orNearApps(master, name, () =>
    master.call('changeSecrets', { params: { app: name }, body, query, signal }),
  )
  print(terminal, flags.json, { app: printable(app), changed, staged: stage === true }, () => '')
  if (changed.length === 0) {
    terminal.err(`nothing changed; ${name} stays at release ${app.task.revision}\n`)
    return app
  }
  if (stage) {
    terminal.err(
      `staged: ${changed.join(', ')}; the next release of ${name} takes it, or: shadow secrets apply ${name}\n`,
    )
    await warnOfVariables(terminal, master, name, changed)
    return app
  }
  terminal.err(`${name} is at release ${app.task.revision}; changed: ${changed.join(', ')}\n`)
  terminal.err(sayAllowed(app))
  await waitForRevision(master, app)
  return app
}

/** A staged secret may have the name of a variable, if the release that takes it takes the variable away. */
async function warnOfVariables(terminal: Terminal, master: MasterClient, name: string, changed: readonly string[]) {
  const { task } = await master.call('getApp', { params: { app: name }, query: DIGESTS })
  for (const one of changed)
    if (Object.hasOwn(task.env, one))
      terminal.err(`${one} is a variable too; take that away: shadow update ${name} --unset-env ${one}\n`)
}

async function list(terminal: Terminal, name: string, flags: CallFlags): Promise<void> {
  const { master } = await findTarget(terminal, flags)
  const { version, items, staged } = await orNearApps(master, name, () =>
    master.call('listSecrets', { params: { app: name } }),
  )
  print(terminal, flags.json, { app: name, version, secrets: items, staged }, () => {
    const waiting = new Map(staged.map(one => [one.name, one.digest]))
    const fresh = staged.filter(one => !items.some(item => item.name === one.name))
    return table(
      terminal,
      ['NAME', 'DIGEST', 'SINCE RELEASE', 'STAGED'],
      [
        ...items.map(item => [
          item.name,
          shortDigest(item.digest),
          String(item.since),
          sayStaged(waiting.get(item.name)),
        ]),
        ...fresh.map(one => [one.name, '-', '-', sayStaged(one.digest)]),
      ],
    )
  })
}

const sayStaged = (digest: string | null | undefined): string =>
  digest === undefined ? '-' : digest === null ? 'taken away' : shortDigest(digest)
