import { statfs } from 'node:fs/promises'
import { availableParallelism, loadavg } from 'node:os'
import { readMemory } from '../lib/memory.ts'
import { isOverloaded } from '../model/placement.ts'
import type { Runtime } from './runtime/runtime.ts'

type Options = { readonly runtime: Runtime; readonly data: string; readonly isClosing: () => boolean }

/** Every `true` means trouble. */
export type NodeHealth = {
  readonly overall: boolean
  readonly overloaded: boolean
  readonly container_backend: boolean
  readonly cpu_utilization: number
  readonly memory_utilization: number
  /** The networks of the apps. A front never trusts addresses in them as proxies. */
  readonly app_networks: readonly string[]
}

const RUNTIME_ANSWERS_WITHIN_MS = 800
const LEAST_FREE_BYTES = 64 * 2 ** 20

/** Measures the health of the node. Callers at the same time share one measurement. */
export class Health {
  readonly #options: Options
  #measuring: Promise<NodeHealth> | undefined
  /** The last known ones, for the time while the runtime does not answer. */
  #networks: readonly string[] = []

  constructor(options: Options) {
    this.#options = options
  }

  now(): Promise<NodeHealth> {
    this.#measuring ??= this.#measure().finally(() => {
      this.#measuring = undefined
    })
    return this.#measuring
  }

  async #measure(): Promise<NodeHealth> {
    const { runtime, data, isClosing } = this.#options
    const [isAlive, memory, hasRoom, networks] = await Promise.all([
      runtime.alive(AbortSignal.timeout(RUNTIME_ANSWERS_WITHIN_MS)).catch(() => false),
      memoryUse(),
      hasRoomAt(data),
      runtime.networks().catch(() => this.#networks),
    ])
    const cpu = cpuUse()
    this.#networks = networks
    return {
      overall: !isAlive || !hasRoom || isClosing(),
      overloaded: isOverloaded({ cpuUtilization: cpu, memoryUtilization: memory }),
      container_backend: !isAlive,
      cpu_utilization: round(cpu),
      memory_utilization: round(memory),
      app_networks: networks,
    }
  }
}

/** The load of the last minute for each core: over 1, processes wait. */
const cpuUse = (): number => (loadavg()[0] ?? 0) / availableParallelism()

/** The part of the memory that is not available, from 0 to 1. */
async function memoryUse(): Promise<number> {
  const { totalBytes, availableBytes } = readMemory()
  return 1 - availableBytes / totalBytes
}

async function hasRoomAt(folder: string): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize >= LEAST_FREE_BYTES
}

const round = (value: number): number => Math.round(value * 1000) / 1000
