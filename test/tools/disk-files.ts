import { execFileSync } from 'node:child_process'
import { rmSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { exec } from '../../src/lib/exec.ts'
import type { Device } from '../../src/nodeproxy/volumes/block-driver.ts'
import type { DiskDevices } from '../../src/nodeproxy/volumes/nvme.ts'
import { untilUnused } from '../../src/nodeproxy/volumes/unused-device.ts'

const GIB = 2 ** 30
const copy = (from: string, to: string): void => void execFileSync('cp', ['--sparse=always', from, to])

/** The disks of a cloud in memory: each is a sparse file, which becomes a loop device of this machine when it is attached. */
export class DiskFiles implements AsyncDisposable {
  readonly #folder: string
  readonly #sizeGiB: (disk: string) => number
  readonly #made = new Set<string>()
  readonly #attached = new Map<string, Device>()
  /** For a driver: how it finds the device of a disk. */
  readonly devices: DiskDevices = {
    find: async disk => this.#attached.get(disk),
    bytes: async device => Number(await exec('blockdev', ['--getsize64', device])),
    untilUnused,
  }

  private constructor(folder: string, sizeGiB: (disk: string) => number) {
    this.#folder = folder
    this.#sizeGiB = sizeGiB
  }

  /** `sizeGiB`: how large the cloud says that a disk is. */
  static async open(sizeGiB: (disk: string) => number): Promise<DiskFiles> {
    return new DiskFiles(await mkdtemp('/tmp/shadow-volumes-'), sizeGiB)
  }

  async attach(disk: string): Promise<void> {
    if (!this.#made.has(disk)) {
      writeFileSync(this.#fileOf(disk), '')
      this.#fill(disk)
    }
    this.#attached.set(disk, (await exec('losetup', ['--find', '--show', this.#fileOf(disk)])).trim() as Device)
  }

  async detach(disk: string): Promise<void> {
    const device = this.#attached.get(disk)
    if (device !== undefined) await exec('losetup', ['--detach', device])
    this.#attached.delete(disk)
  }

  /** The disk has another size now. A machine to which it is attached sees that after `rescan`, or when it is attached anew. */
  resize(disk: string, sizeGiB: number): void {
    if (this.#made.has(disk)) this.#fill(disk, sizeGiB)
  }

  async rescan(disk: string): Promise<void> {
    const device = this.#attached.get(disk)
    if (device !== undefined) await exec('losetup', ['--set-capacity', device])
  }

  keep(snapshot: string, disk: string): void {
    copy(this.#fileOf(disk), this.#fileOf(snapshot))
  }

  restore(disk: string, snapshot: string): void {
    copy(this.#fileOf(snapshot), this.#fileOf(disk))
    this.#fill(disk)
  }

  /** At once: a disk that is made anew may have the same name. */
  delete(disk: string): void {
    this.#made.delete(disk)
    rmSync(this.#fileOf(disk), { force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const disk of [...this.#attached.keys()]) await this.detach(disk)
    await rm(this.#folder, { recursive: true, force: true })
  }

  #fill(disk: string, sizeGiB = this.#sizeGiB(disk)): void {
    truncateSync(this.#fileOf(disk), sizeGiB * GIB)
    this.#made.add(disk)
  }

  #fileOf(disk: string): string {
    return `${this.#folder}/${disk}`
  }
}
