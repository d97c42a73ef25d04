import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../clock.ts'
import { ShadowError, systemCode } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { type Certificate, certificateOf } from './certificate.ts'

type Options = {
  readonly folder: string
  /** A second folder, of certificates that come from elsewhere. It may not be there. */
  readonly ordered?: string | undefined
  readonly clock: Clock
  readonly log: Log
  readonly lookEveryMs?: number
}
type Files = { readonly name: string; readonly chain: string; readonly key: string }
/** `certificate` is undefined if it could not be read, now or at any time before. */
type Entry = { readonly name: string; readonly version: string; readonly certificate: Certificate | undefined }

const LOOK_EVERY_MS = 10_000
const DEFAULT = 'default'
/** The name of a folder or file for a wildcard, since `*` means something else to a shell. */
const WILDCARD = /^(?:\*|_wildcard)\./

/**
 * Certificates by hostname: by the name of the file, and by the names in the certificate. The folder has `<hostname>/fullchain.pem` and
 * `privkey.pem` (as certbot keeps them), or `<hostname>.crt` and `.key`, or `<hostname>.pem` with both. `*.example.com` or `_wildcard.example.com` covers all names with one
 * more label. `default` is used for names that no other certificate covers, and for clients that name no host. Files that change are read again
 * within `lookEveryMs`. If one is broken, that is logged and the certificate before it is kept.
 */
export class Certificates implements Disposable {
  readonly #options: Options & { readonly lookEveryMs: number }
  /** The entries by the file of the chain, since two files may have one hostname. */
  #entries = new Map<string, Entry>()
  /** The certificates for each name, the preferred one first. */
  #byName: ReadonlyMap<string, readonly Certificate[]> = new Map()
  #alarm: Disposable | undefined
  #stopped = false
  #reading: Promise<void> = Promise.resolve()
  #onRead: (() => void) | undefined

  private constructor(options: Options) {
    this.#options = { lookEveryMs: LOOK_EVERY_MS, ...options }
  }

  /** Reads all certificates of the folder. Fails with `bad-input` if the folder cannot be read. */
  static async open(options: Options): Promise<Certificates> {
    const certificates = new Certificates(options)
    await certificates.read()
    certificates.#lookAgain()
    return certificates
  }

  /** Calls back whenever a certificate may have changed. */
  onRead(then: () => void): void {
    this.#onRead = then
  }

  /**
   * The certificate for a client that names this host (RFC 6066, 3): by the exact name, by a wildcard, or the default one. One that is valid now
   * is preferred to one that is not.
   */
  find(servername: string | undefined): Certificate | undefined {
    const name = servername === undefined ? undefined : bareName(servername)
    const exact = name === undefined ? NONE : (this.#byName.get(name) ?? NONE)
    const dot = name?.indexOf('.') ?? -1
    const wild = name === undefined || dot < 0 ? NONE : (this.#byName.get(`*${name.slice(dot)}`) ?? NONE)
    const fallback = this.#byName.get(DEFAULT) ?? NONE
    const now = this.#options.clock.wall()
    const isValid = (one: Certificate): boolean => isValidAt(one, now)
    return (
      exact.find(isValid) ??
      wild.find(isValid) ??
      fallback.find(one => isValid(one) && (name === undefined || one.covers(name))) ??
      exact[0] ??
      wild[0] ??
      fallback.find(isValid) ??
      fallback[0]
    )
  }

  /** Whether there is a certificate for this host that is valid now. */
  hasFor(servername: string): boolean {
    const found = this.find(servername)
    const now = this.#options.clock.wall()
    return found !== undefined && isValidAt(found, now) && found.covers(bareName(servername))
  }

  /** Reads the files that have changed. Callers take turns: a read that began earlier must not undo a later one. */
  read(): Promise<void> {
    const read = this.#reading.then(() => this.#read())
    this.#reading = read.catch(() => undefined) // its caller is told
    return read
  }

  async #read(): Promise<void> {
    const entries = new Map<string, Entry>()
    for (const files of await this.#files()) {
      const before = this.#entries.get(files.chain)
      try {
        const version = await versionOf(files)
        entries.set(files.chain, before?.version === version ? before : await this.#load(files, version, before))
      } catch (cause) {
        // Only one of the two files is there: the other will be written in a moment, or was removed.
        this.#options.log.debug('certificate incomplete', { hostname: files.name, cause })
        if (before !== undefined) entries.set(files.chain, before)
      }
    }
    this.#entries = entries
    this.#byName = byName(entries)
    this.#onRead?.()
  }

  [Symbol.dispose](): void {
    this.#stopped = true
    this.#alarm?.[Symbol.dispose]()
  }

  async #load(files: Files, version: string, before: Entry | undefined): Promise<Entry> {
    const { log, clock } = this.#options
    try {
      const [chain, key] = await Promise.all([readFile(files.chain, 'utf8'), readFile(files.key, 'utf8')])
      const certificate = certificateOf(chain, key)
      const expires = new Date(certificate.expiresAt).toISOString()
      const fields = { hostname: files.name, file: files.chain, expires }
      if (certificate.expiresAt < clock.wall()) log.warn('certificate expired', fields)
      else log.info('certificate read', fields)
      return { name: files.name, version, certificate }
    } catch (cause) {
      const kept = before?.certificate === undefined ? 'none' : 'the one before'
      log.error('certificate broken', { hostname: files.name, chain: files.chain, key: files.key, kept, cause })
      return { name: files.name, version, certificate: before?.certificate }
    }
  }

  async #files(): Promise<Files[]> {
    const { folder, ordered } = this.#options
    const files = filesIn(folder, await this.#namesIn(folder))
    if (ordered === undefined) return files
    const names = await readdir(ordered).catch(() => [])
    return [...files, ...filesIn(ordered, names)]
  }

  async #namesIn(folder: string): Promise<string[]> {
    try {
      return await readdir(folder)
    } catch (cause) {
      throw new ShadowError(
        'bad-input',
        `the folder of certificates ${folder} ${systemCode(cause) === 'ENOENT' ? 'is not there' : `cannot be read: ${systemCode(cause)}`}`,
        {
          cause,
        },
      )
    }
  }

  #lookAgain(): void {
    if (this.#stopped) return
    const { clock, log, lookEveryMs } = this.#options
    this.#alarm = clock.after(lookEveryMs, () => {
      this.read()
        .catch(cause => log.warn('certificates not looked at', { cause }))
        .finally(() => this.#lookAgain())
    })
  }
}

/** The certificates of a folder, by the names in it. */
function filesIn(folder: string, found: readonly string[]): Files[] {
  const files: Files[] = []
  for (const name of found) {
    if (name.endsWith('.crt')) {
      const bare = name.slice(0, -'.crt'.length)
      files.push({ name: hostnameOf(bare), chain: join(folder, name), key: join(folder, `${bare}.key`) })
    } else if (name.endsWith('.pem')) {
      const both = join(folder, name)
      files.push({ name: hostnameOf(name.slice(0, -'.pem'.length)), chain: both, key: both })
    } else if (!name.endsWith('.key') && !name.startsWith('.') && name !== 'README') {
      const inside = join(folder, name)
      files.push({ name: hostnameOf(name), chain: join(inside, 'fullchain.pem'), key: join(inside, 'privkey.pem') })
    }
  }
  return files
}

const NONE: readonly Certificate[] = []

/** Indexes the certificates by the names of their files, then by the names in them. Of several the one that expires last comes first. */
function byName(entries: ReadonlyMap<string, Entry>): Map<string, readonly Certificate[]> {
  const found = new Map<string, readonly Certificate[]>()
  const all = [...entries.values()].flatMap(({ name, certificate }) => (certificate ? [{ name, certificate }] : []))
  all.sort((a, b) => b.certificate.expiresAt - a.certificate.expiresAt)
  const add = (name: string, certificate: Certificate): void => {
    const before = found.get(name) ?? NONE
    if (!before.includes(certificate)) found.set(name, [...before, certificate])
  }
  for (const { name, certificate } of all) add(name, certificate)
  for (const { certificate } of all) for (const name of certificate.names) add(name, certificate)
  return found
}

const isValidAt = ({ beginsAt, expiresAt }: Certificate, now: number): boolean => beginsAt <= now && now < expiresAt
const bareName = (servername: string): string => servername.toLowerCase().replace(/\.$/, '')
const hostnameOf = (name: string): string => name.toLowerCase().replace(WILDCARD, '*.')

/** A text that changes whenever the files do: certbot replaces links, other programs write in place. */
async function versionOf({ chain, key }: Files): Promise<string> {
  const [one, other] = await Promise.all([stat(chain, { bigint: true }), stat(key, { bigint: true })])
  return [one, other].map(({ ino, size, mtimeNs, ctimeNs }) => `${ino}.${size}.${mtimeNs}.${ctimeNs}`).join()
}
