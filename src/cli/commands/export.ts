import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress } from 'node:zlib'
import type { Command } from 'commander'
import { ShadowError } from '../../lib/errors.ts'
import { sayBytes } from '../../model/quantities.ts'
import { formatFor } from '../archive/format.ts'
import { ArchiveKeys, newTerms } from '../archive/secrets.ts'
import { type SentImage, type SentSource, writeArchive } from '../archive/write.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { isOfTheStore, sayLeftOut } from '../left-out-image.ts'
import { orNearApps } from '../near-apps.ts'
import { PASSPHRASE_FILE, readPassphrase } from '../passphrase.ts'
import { findTarget, type Target } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = CallFlags & { passphraseFile?: string }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('<name>', 'the app')
    .option(...PASSPHRASE_FILE)
    .action(async (name: string, flags: Flags) => {
      if (terminal.pipes.outIsTerminal)
        throw new ShadowError('bad-input', 'the archive is not for a terminal', {
          hint: `shadow export ${name} > ${name}.tar.zst`,
        })
      const { master } = await findTarget(terminal, flags)
      const {
        env,
        secrets = {},
        ...definition
      } = (await orNearApps(master, name, () => master.call('getDefinition', { params: { app: name } }))) as {
        env: Record<string, string>
        secrets?: Record<string, string>
        volume?: unknown
        image: string
        source?: { digest: string }
      }
      const values = { env, secrets }
      const terms = Object.keys({ ...env, ...secrets }).length === 0 ? null : newTerms()
      const keys = terms && (await ArchiveKeys.from(await readPassphrase(terminal, flags.passphraseFile, 'new'), terms))
      const at = new Date(terminal.now())
      const manifest = {
        format: formatFor(values, definition.source !== undefined),
        app: name,
        exportedAt: at.toISOString(),
        secrets: terms,
      }
      const image = definition.volume === undefined ? undefined : await imageOf(master, name)
      const source = definition.source && (await sourceOf(master, definition.source.digest))
      const archive = writeArchive({ manifest, definition, values, keys: keys ?? undefined, source, image, at })
      const zstd = createZstdCompress({ params: { [constants.ZSTD_c_checksumFlag]: 1 } })
      await pipeline(Readable.from(archive), zstd, terminal.pipes.out)
      const has = [
        ...(source === undefined ? [] : [`${sayBytes(source.length)} of its source`]),
        ...(image === undefined ? [] : [`${sayBytes(image.length)} of its volume`]),
      ]
      const said = has.length === 0 ? 'without data' : `with ${has.join(' and ')}`
      terminal.err(`${name} is exported, ${said}${terms === null ? '' : '; its secrets need the passphrase'}\n`)
      if (isOfTheStore(definition.image)) terminal.err(sayLeftOut(name, definition.image))
    })
  callsMaster(command, 'shadow export blog > blog.tar.zst')
}

/** The source of the app, as the masters have it. */
async function sourceOf(master: Target['master'], digest: string): Promise<SentSource> {
  const { headers, body } = await master.raw('getBlob', { params: { digest }, signal: new AbortController().signal })
  return { length: Number(headers['content-length']), bytes: body }
}

/** The image of the app's volume; undefined where it has no data yet. */
async function imageOf(master: Target['master'], app: string): Promise<SentImage | undefined> {
  const signal = new AbortController().signal // a large volume takes long
  const { status, headers, body } = await master.raw('exportVolume', { params: { app }, signal })
  if (status === 204) return undefined
  return { length: Number(headers['x-shadow-length']), size: Number(headers['x-shadow-size']), bytes: body }
}
