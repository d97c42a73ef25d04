import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, writeWhole } from '../../lib/files.ts'
import { certificateOf } from '../../lib/http/tls/certificate.ts'

/** A certificate in the folder: `version` is the master's name of it. Times are in milliseconds since the epoch. */
export type Kept = { readonly version: string; readonly from: number; readonly until: number }
type Given = { readonly name: string; readonly version: string; readonly chain: string; readonly key: string }

const SUFFIX = '.pem'
const VERSION = /^# version (\S+)\n/

/** The folder of the certificates that come from the masters: `<name>.pem` has chain and key, and is replaced in one step. */
export function certificateFolder(folder: string) {
  const fileOf = (name: string): string => join(folder, `${name.replace(/^\*/, '_wildcard')}${SUFFIX}`)
  const keptOf = (version: string, pem: string): Kept => {
    const { beginsAt: from, expiresAt: until } = certificateOf(pem, pem)
    return { version, from, until }
  }

  return {
    /** What an earlier run has left, by name. A file that cannot be read counts as not there. */
    async read(): Promise<Map<string, Kept>> {
      await makeFolder(folder)
      const found = new Map<string, Kept>()
      for (const file of await readdir(folder)) {
        if (!file.endsWith(SUFFIX)) continue
        const text = await readFile(join(folder, file), 'utf8')
        try {
          const name = file.slice(0, -SUFFIX.length).replace(/^_wildcard\./, '*.')
          found.set(name, keptOf(VERSION.exec(text)?.[1] ?? '', text))
        } catch {
          // It is asked for again when a client connects to it, and then replaced.
        }
      }
      return found
    },

    async write({ name, version, chain, key }: Given): Promise<Kept> {
      const pem = `# version ${version}\n${key.trim()}\n${chain.trim()}\n`
      const kept = keptOf(version, pem) // throws before anything is written
      await writeWhole(fileOf(name), pem)
      return kept
    },

    remove: (name: string) => rm(fileOf(name), { force: true }),
  }
}
