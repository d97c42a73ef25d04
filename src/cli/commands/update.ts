import type { Command } from 'commander'
import type { MasterClient } from '../../api/client.ts'
import { type Fault, isFailure, ShadowError } from '../../lib/errors.ts'
import { json } from '../../lib/http/api/call.ts'
import type { App } from '../../model/app.ts'
import { type Hostname, hostname } from '../../model/hostname.ts'
import { type CallFlags, callsMaster, collect, mustBeThere, parsedFlag } from '../command-options.ts'
import { type DefinitionFlags, definitionOptions, toPatch } from '../definition-flags.ts'
import { orNearApps } from '../near-apps.ts'
import { print } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { sayAllowed } from '../say-release.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { sayStage, waitForRevision } from '../wait-for-revision.ts'

type DomainFlags = { readonly addDomain?: readonly string[]; readonly removeDomain?: readonly string[] }
type Flags = CallFlags & DefinitionFlags & DomainFlags & { readonly note?: string; readonly wait?: true }

const TRIES = 5
/** Removing a missing variable or domain is an error: it is a typing mistake, or somebody else has already removed it. */
const STRICT = { strict: 'true', ...DIGESTS } as const

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

// A node may have to pull the image first.
const NO_DEADLINE = (): AbortSignal => new AbortController().signal

const changesDomains = (flags: DomainFlags): boolean =>
  flags.addDomain !== undefined || flags.removeDomain !== undefined

// The patch replaces the list of domains. If-Match makes it fail if somebody changed the list in between; then it is tried again.
async function updateDomains(
  master: MasterClient,
  name: string,
  patch: Record<string, unknown>,
  flags: DomainFlags & { readonly note?: string },
): Promise<App> {
  for (let tries = 1; ; tries++) {
    const answer = await master.raw('getApp', { params: { app: name }, query: DIGESTS })
    const { domains } = (await json(answer)) as App
    const removed = removedOf(name, domains, flags.removeDomain)
    const kept = domains.filter(domain => !removed.includes(domain))
    const body = { ...patch, domains: [...new Set<string>([...kept, ...(flags.addDomain ?? [])])] }
    try {
      const headers = { 'if-match': answer.headers.etag ?? '*' }
      return await master.call('updateApp', {
        params: { app: name },
        body,
        headers,
        query: { ...STRICT, note: flags.note },
        signal: NO_DEADLINE(),
      })
    } catch (error) {
      if (!isFailure(error, 'changed') || tries === TRIES) throw error
    }
  }
}

/** The domains to remove, in canonical form. Fails with `bad-input` or `not-found`, which names each wrong one. */
function removedOf(name: string, domains: readonly Hostname[], given: readonly string[] = []): readonly Hostname[] {
  const flag = '--remove-domain'
  const faults: Fault[] = []
  const removed = given.flatMap(text => parsedFlag(flag, hostname, text, faults) ?? [])
  if (faults.length > 0) throw new ShadowError('bad-input', 'the flags are wrong', { faults })
  mustBeThere(
    name,
    removed
      .filter(domain => !domains.includes(domain))
      .map(domain => ({ field: flag, message: `it has no domain ${domain}` })),
  )
  return removed
}
