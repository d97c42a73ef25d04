import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const PAUSE_MS = 100
const TRIES = 50

/**
 * A cgroup whose processes get processor time by a weight as systemd's (CPUWeight=, 100 by default), until it is disposed. If this machine
 * has no such cgroups, nothing happens: see `isThere`.
 */
export class ProcessorTime implements AsyncDisposable {
  readonly #folder: string
  readonly isThere: boolean

  constructor(name: string, weight: number) {
    const [v1, v2] = [`/sys/fs/cgroup/cpu/${name}`, `/sys/fs/cgroup/${name}`]
    this.#folder = made(v1, 'cpu.shares', Math.round((weight / 100) * 1024)) ? v1 : v2
    this.isThere = this.#folder === v1 || made(v2, 'cpu.weight', weight)
  }

  /** Moves the process, with its present and future threads, into the cgroup. */
  add(pid: number): void {
    if (this.isThere) writeFileSync(`${this.#folder}/cgroup.procs`, `${pid}`)
  }

  /**
   * Moves Docker's processes, and those that they start from now on, into the cgroup, unless they have one of their own. systemd gives
   * docker.service
   * and containerd.service one each. Otherwise each thread of a dockerd that was started by hand has the weight of a whole service.
   */
  addDocker(): void {
    const isInNone = this.#folder.startsWith('/sys/fs/cgroup/cpu/') ? /^\d+:cpu(,cpuacct)?:\/$/m : /^0::\/$/m
    for (const pid of readdirSync('/proc').filter(each => /^\d+$/.test(each))) {
      try {
        const name = readFileSync(`/proc/${pid}/comm`, 'utf8')
        const isDocker = name === 'dockerd\n' || name.startsWith('containerd')
        if (isDocker && isInNone.test(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))) this.add(Number(pid))
      } catch {} // it has ended
    }
  }

  /** Moves the process back to the machine's other processes. */
  release(pid: number): void {
    if (this.isThere) writeFileSync(`${dirname(this.#folder)}/cgroup.procs`, `${pid}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.isThere ? readFileSync(`${this.#folder}/cgroup.procs`, 'utf8').split('\n') : []
    for (const pid of left.filter(Boolean)) {
      try {
        this.release(Number(pid))
      } catch {} // it has ended
    }
    // A process that has just ended is in the cgroup for a moment longer.
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
    return false // another version of cgroups, or no permission to make one
  }
}
