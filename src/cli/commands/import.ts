import { type Command, Option } from 'commander'
import type { Register } from '../../api/schemas.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import { sayBytes } from '../../model/quantities.ts'
import { altered } from '../archive/format.ts'
import { type Archive, type ArchivedSource, type Described, readArchive } from '../archive/read.ts'
import { unzstd } from '../archive/unzstd.ts'
import { type CallFlags, callsMaster, collect } from '../command-options.ts'
import { isOfTheStore, sayLeftOut } from '../left-out-image.ts'
import { PASSPHRASE_FILE, readPassphrase } from '../passphrase.ts'
import { print } from '../print.ts'
import { DIGESTS, printable } from '../printable.ts'
import { findTarget, type Target } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'

type Flags = CallFlags & {
  as?: string
  domain?: readonly string[]
  node?: string
  volumeDriver?: string
  passphraseFile?: string
}
type Master = Target['master']
/** What is registered: free text, which the master's schema judges. */
type Definition = Record<string, unknown> & {
  name: string
  domains?: readonly string[]
  volume?: { size: string; driver?: string }
}

export function define(command: Command, terminal: Terminal): void {
  command
    .option('--as <name>', 'the name of the app here; left out: the name that it had')
    .option('--domain <hostname>', 'in place of the hostnames that it had; may be repeated', collect)
    .option('--node <node>', 'the node that gets its volume; left out: the master chooses')
    .addOption(new Option('--volume-driver <driver>', 'left out: the driver that it had').choices(['loop', 'pool']))
    .option(...PASSPHRASE_FILE)
    .action(async (flags: Flags) => {
      if (terminal.pipes.inIsTerminal)
        throw new ShadowError('bad-input', 'no archive comes from stdin', { hint: 'shadow import < blog.tar.zst' })
      const { master, front } = await findTarget(terminal, flags)
      const passphrase = () => readPassphrase(terminal, flags.passphraseFile, 'known')
      const takeSource = async (source: ArchivedSource, described: Described): Promise<void> => {
        await mustBeFree(master, definitionOf(described, flags))
        await bringSource(master, source, described)
      }
      const archive = await readArchive(unzstd(terminal.pipes.in), { passphrase, takeSource })
      const definition = definitionOf(archive, flags)
      await mustBeFree(master, definition)
      await bringVolume(master, archive, definition, flags.node)
      const app = await register(master, definition, archive.image !== undefined)
      print(terminal, flags.json, printable(app), () => `${urlsOf(app, front).join('\n')}\n`)
      const said =
        archive.image === undefined ? 'without data' : `with ${sayBytes(archive.image.dataBytes)} of its volume`
      terminal.err(`${app.name} is imported, ${said}; its first request wakes it\n`)
      if (isOfTheStore(app.task.image) && app.task.pinned === undefined)
        terminal.err(sayLeftOut(app.name, app.task.image))
    })
  callsMaster(
    command,
    'shadow import < blog.tar.zst',
    'shadow import --as blog2 --domain blog2.localhost < blog.tar.zst',
  )
}

function definitionOf({ manifest, definition, values }: Described, flags: Flags): Definition {
  const { volume } = definition as Definition
  const { driver = flags.volumeDriver, ...rest } = volume ?? {}
  const chosen = flags.volumeDriver ?? driver
  return {
    ...definition,
    name: flags.as ?? manifest.app,
    ...(flags.domain !== undefined && { domains: flags.domain }),
    env: values.env,
    ...(Object.keys(values.secrets).length > 0 && { secrets: values.secrets }),
    ...(volume !== undefined && {
      volume: { ...rest, ...(chosen !== undefined && { driver: chosen }) } as Definition['volume'],
    }),
  } as Definition
}

/** Stores the source under the digest that the definition names. The masters refuse other bytes. */
async function bringSource(master: Master, { bytes }: ArchivedSource, { definition }: Described): Promise<void> {
  const { digest = '' } = (definition['source'] ?? {}) as { digest?: string }
  const params = { digest }
  let unreadable: unknown
  const content = async function* () {
    try {
      yield* bytes
    } catch (error) {
      unreadable = error
      throw error
    }
  }
  try {
    await master.raw('putBlob', { params, content: content(), signal: new AbortController().signal })
  } catch (error) {
    if (unreadable !== undefined) throw unreadable
    if (isFailure(error, 'bad-input')) throw altered('its source is not the one of its definition')
    throw error
  }
}

/** Fails with `already-exists` or `domain-taken` before anything is sent. */
async function mustBeFree(master: Master, { name, domains = [] }: Definition): Promise<void> {
  const isThere = (asked: Promise<unknown>): Promise<boolean> =>
    asked.then(
      () => true,
      error => {
        if (isFailure(error, 'app-not-found', 'not-found', 'host-unknown')) return false
        throw error
      },
    )
  const other = { hint: 'give another name: --as NAME' }
  if (await isThere(master.call('getApp', { params: { app: name }, query: DIGESTS })))
    throw new ShadowError('already-exists', `an app is called ${name} already`, other)
  if (await isThere(master.call('getVolume', { params: { volume: name } })))
    throw new ShadowError('already-exists', `a volume is called ${name} already`, {
      hint: `${other.hint}; or delete its data: shadow volume rm ${name}`,
    })
  for (const hostname of domains)
    if (await isThere(master.call('getHost', { params: { hostname } })).catch(unlessOwner))
      throw new ShadowError('domain-taken', `another app has the domain ${hostname}`, {
        hint: 'give other ones: --domain HOSTNAME',
      })
}

async function bringVolume(master: Master, { image, finish }: Archive, { name, volume }: Definition, node?: string) {
  if (image === undefined || volume === undefined) return finish()
  const { driver = 'loop' } = volume
  if (driver !== 'loop' && driver !== 'pool')
    throw new ShadowError(
      'bad-input',
      `its volume had the driver ${driver}, and data can be imported to loop and pool only`,
      {
        hint: '--volume-driver loop',
      },
    )
  const { size, dataBytes, bytes } = image
  const query = { volume: volume.size, driver, size, bytes: dataBytes, ...(node !== undefined && { node }) } as const
  const signal = new AbortController().signal // a large volume takes long
  const { body } = await master.raw('importVolume', { params: { volume: name }, query, content: bytes, signal })
  body.resume()
}

/** Registers the app, which finds its volume. If it cannot be registered, the volume is removed again. */
async function register(master: Master, definition: Definition, hasVolume: boolean) {
  try {
    return await master.call('registerApp', { body: definition as unknown as Register, query: DIGESTS })
  } catch (error) {
    if (hasVolume) {
      const signal = new AbortController().signal
      await master.call('removeVolume', { params: { volume: definition.name }, signal }).catch(() => undefined) // the first error counts
    }
    throw error
  }
}

/** An owner may not ask which app has a hostname: to register the app then finds it out. */
function unlessOwner(error: unknown): false {
  if (!isFailure(error, 'forbidden')) throw error
  return false
}
