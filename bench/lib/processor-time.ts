import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const PAUSE_MS = 100
const TRIES = 50

/**
 * A cgroup whose processes get processor time by a weight of systemd's kind (CPUWeight=, 100 where nothing is said), for as long as
 * it is held. Nothing happens where this machine has no cgroup of the kind: `isThere` tells.
 */
export class ProcessorTime implements AsyncDisposable {
  readonly #folder: string
  readonly isThere: boolean

  constructor(name: string, weight: number) {
    const [v1, v2] = [`/sys/fs/cgroup/cpu/${name}`, `/sys/fs/cgroup/${name}`]
    this.#folder = made(v1, 'cpu.shares', Math.round((weight / 100) * 1024)) ? v1 : v2
    this.isThere = this.#folder === v1 || made(v2, 'cpu.weight', weight)
  }

  /** The process is one of it from now on, with the threads it has and those it starts. */
  add(pid: number): void {
    if (this.isThere) writeFileSync(`${this.#folder}/cgroup.procs`, `${pid}`)
  }

  /** From now on it is one of the machine's others. */
  release(pid: number): void {
    if (this.isThere) writeFileSync(`${dirname(this.#folder)}/cgroup.procs`, `${pid}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A process that has just ended is in it for a moment more.
    for (let tries = 0; this.isThere && tries < TRIES; tries++) {
      try {
        return rmdirSync(this.#folder)
      } catch {
        await sleep(PAUSE_MS)
      }
    }
  }
}

function made(folder: string, file: string, weight: number): boolean {
  try {
    mkdirSync(folder)
    writeFileSync(`${folder}/${file}`, `${weight}`, { flag: 'r+' })
    return true
  } catch {
    try {
      rmdirSync(folder)
    } catch {} // it was not made
    return false // another version of cgroups, or no right to make one
  }
}
