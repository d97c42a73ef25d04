import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { ShadowError } from '../../lib/errors.ts'
import { kernelFile } from '../../lib/kernel-files.ts'
import { cgroupsOf } from './cgroups.ts'
import type { Container } from './runtime.ts'

/** A file of the kernel that stops all processes of a cgroup, and one that tells whether they have stopped. */
type Switch = {
  readonly file: string
  readonly frozen: string
  readonly thawed: string
  readonly told: string
  readonly says: RegExp
}

/** Docker's own way, which takes some ten milliseconds: for containers whose cgroup this process cannot reach. */
type Pauses = {
  pause(container: Pick<Container, 'id'>): Promise<void>
  unpause(container: Pick<Container, 'id'>): Promise<void>
  /** Resolves when it has ended. */
  ended(container: Container, signal: AbortSignal): Promise<unknown>
}

// A process in the middle of a write to a disk stops when that has ended.
const FROZEN_WITHIN_MS = 2_000
// How long the end of a killed process may take, and how long Docker may take to tell.
const ENDS_WITHIN_MS = 2_000

/**
 * Stops the processes of containers where they are, and lets them go on, by the freezer of cgroups v1 or v2: kernel documentation,
 * cgroup-v1/freezer-subsystem and cgroup-v2. A write to its file takes a tenth of a millisecond.
 */
export class Freezer {
  readonly #pauses: Pauses
  readonly #switches = new Map<string, readonly Switch[]>()
  readonly #paused = new Set<string>()
  readonly #pids = new Map<string, number>()

  constructor(pauses: Pauses) {
    this.#pauses = pauses
  }

  /** Remembers the cgroup of a container that runs. `isPaused`: Docker has paused it. */
  async learn({ id }: Pick<Container, 'id'>, pid: number, isPaused: boolean): Promise<void> {
    if (isPaused) this.#paused.add(id)
    this.#pids.set(id, pid)
    const groups = kernelFile(`/proc/${pid}/cgroup`) ?? '' // it has ended, or runs on another machine
    if (groups.includes(id)) this.#switches.set(id, switchesOf(groups))
  }

  forget({ id }: Pick<Container, 'id'>): void {
    this.#switches.delete(id)
    this.#paused.delete(id)
    this.#pids.delete(id)
  }

  /** Resolves when no process of it runs on. `byDocker`: Docker must know, because it starts processes in the container itself. */
  async freeze(container: Pick<Container, 'id' | 'app'>, byDocker: boolean): Promise<void> {
    const { id } = container
    if (this.#paused.has(id)) return
    if (!byDocker)
      for (const one of this.#switches.get(id) ?? [])
        if (await written(one.file, one.frozen)) return untilFrozen(container, one)
    await this.#pauses.pause(container)
    this.#paused.add(id)
  }

  /** Whether it is frozen, by this run of the node or by an earlier one; false where its cgroup is out of reach. */
  isFrozen({ id }: Pick<Container, 'id'>): boolean {
    const isIn = ({ told, says }: Switch): boolean => says.test(kernelFile(told) ?? '')
    return this.#paused.has(id) || (this.#switches.get(id) ?? []).some(isIn)
  }

  /**
   * Lets its processes go on, to serve. If somebody has killed the container meanwhile, waits for its end: in v1 what is frozen ends only when it
   * goes on, and the first request would be cut.
   */
  async goOn(container: Container): Promise<void> {
    const isKilled = this.#isKilled(container)
    await this.thaw(container)
    if (isKilled) await this.#pauses.ended(container, AbortSignal.timeout(ENDS_WITHIN_MS)).catch(() => undefined) // its watch tells
  }

  #isKilled({ id }: Pick<Container, 'id'>): boolean {
    const pid = this.#pids.get(id)
    if (pid === undefined) return false
    return SIGKILL_PENDS.test(kernelFile(`/proc/${pid}/status`) ?? '') // it has ended
  }

  /** Lets its processes go on. Not frozen, or ended already is success. */
  async thaw(container: Pick<Container, 'id'>): Promise<void> {
    const { id } = container
    if (this.#paused.has(id)) {
      await this.#pauses.unpause(container)
      this.#paused.delete(id)
      return
    }
    for (const { file, thawed } of this.#switches.get(id) ?? []) if (await written(file, thawed)) return
  }
}

async function untilFrozen({ app }: Pick<Container, 'app'>, { file, thawed, told, says }: Switch): Promise<void> {
  const until = performance.now() + FROZEN_WITHIN_MS
  for (;;) {
    const text = kernelFile(told)
    if (text === undefined || says.test(text)) return // without the file it has ended, which its watch reports
    if (performance.now() > until) break
    await sleep(1)
  }
  await written(file, thawed)
  throw new ShadowError('app-stuck', `a process of ${app} could not be frozen within ${FROZEN_WITHIN_MS} ms`, {
    hint: 'it waits for a disk in the kernel',
  })
}

// proc(5): signals that pend are a bit mask in hexadecimal, whose bit 8 is SIGKILL.
const SIGKILL_PENDS = /^(?:Sig|Shd)Pnd:\s*[0-9a-f]*[13579bdf][0-9a-f]{2}$/m

/** false where there is no such file, or this process may not write to it. */
const written = (file: string, text: string): Promise<boolean> =>
  writeFile(file, text, { flag: 'r+' }).then(
    () => true,
    () => false,
  )

/** The freezer of v1 is in a hierarchy of its own; in v2 each cgroup but the root has one. */
const switchesOf = (groups: string): readonly Switch[] =>
  cgroupsOf(groups, 'freezer').map(({ version, at }) => {
    const v1 = `${at}/freezer.state`
    return version === 1
      ? { file: v1, frozen: 'FROZEN', thawed: 'THAWED', told: v1, says: /^FROZEN$/m }
      : { file: `${at}/cgroup.freeze`, frozen: '1', thawed: '0', told: `${at}/cgroup.events`, says: /^frozen 1$/m }
  })
