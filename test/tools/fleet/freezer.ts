import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { until } from '../shadow.ts'

const ROOT = '/sys/fs/cgroup'
const FIRST_VERSION = existsSync(`${ROOT}/freezer`)

/** A cgroup whose processes stop and go on all at once, with those of the cgroups below it. */
export class Freezer implements AsyncDisposable {
  readonly #name: string

  private constructor(name: string) {
    this.#name = name
  }

  static async make(name: string): Promise<Freezer> {
    const freezer = new Freezer(name)
    await mkdir(freezer.#path('system'), { recursive: true })
    return freezer
  }

  /** A process that writes 0 to this file is in the cgroup, and so are those that it starts. */
  get entry(): string {
    return this.#path('system', 'cgroup.procs')
  }

  async freeze(): Promise<void> {
    const [file, asked, frozen] = FIRST_VERSION
      ? (['freezer.state', 'FROZEN', /FROZEN/] as const)
      : (['cgroup.freeze', '1', /frozen 1/] as const)
    await writeFile(this.#path(file), asked)
    const told = FIRST_VERSION ? file : 'cgroup.events'
    await until(async () => frozen.test(await readFile(this.#path(told), 'utf8')) || undefined)
  }

  async thaw(): Promise<void> {
    await (FIRST_VERSION
      ? writeFile(this.#path('freezer.state'), 'THAWED')
      : writeFile(this.#path('cgroup.freeze'), '0'))
  }

  /** Removes the cgroup in all hierarchies, where Docker has put containers below it. No process may be left in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const hierarchies = FIRST_VERSION ? (await readdir(ROOT)).map(name => `${ROOT}/${name}`) : [ROOT]
    for (const hierarchy of hierarchies) await removeTree(`${hierarchy}/${this.#name}`)
  }

  #path(...below: string[]): string {
    return [FIRST_VERSION ? `${ROOT}/freezer` : ROOT, this.#name, ...below].join('/')
  }
}

async function removeTree(folder: string): Promise<void> {
  const inside = await readdir(folder, { withFileTypes: true }).catch(() => undefined)
  if (inside === undefined) return
  for (const entry of inside) if (entry.isDirectory()) await removeTree(`${folder}/${entry.name}`)
  // The kernel empties a cgroup a moment after its last process has ended.
  await until(() =>
    rmdir(folder).then(
      () => true,
      () => undefined,
    ),
  )
}
