import { readFileSync } from 'node:fs'
import { kernelFile } from './kernel-files.ts'

/** The memory and the swap of this machine, in bytes. */
export type Memory = {
  readonly totalBytes: number
  /** What programs can take without swapping: `MemAvailable` of proc(5). */
  readonly availableBytes: number
  /** 0: the machine has no swap. */
  readonly swapTotalBytes: number
  readonly swapFreeBytes: number
}

/** The share of the last ten seconds, in percent, in which some processes, or all of them, waited for memory. */
export type MemoryStalls = { readonly some: number; readonly full: number }

type Folders = { readonly proc?: string; readonly cgroup?: string }

/**
 * Reads the memory of this machine. In a container with a limit, that limit is the memory of the machine: the containers that are started there
 * count towards it too.
 */
export function readMemory({ proc = '/proc', cgroup = '/sys/fs/cgroup' }: Folders = {}): Memory {
  const text = readFileSync(`${proc}/meminfo`, 'utf8')
  const bytesOf = (name: string): number | undefined => {
    const [, kibibytes] = new RegExp(`^${name}: +(\\d+)`, 'm').exec(text) ?? []
    return kibibytes === undefined ? undefined : 1_024 * Number(kibibytes)
  }
  const totalBytes = bytesOf('MemTotal') ?? Number.POSITIVE_INFINITY
  const memory = {
    totalBytes,
    availableBytes: bytesOf('MemAvailable') ?? Number.POSITIVE_INFINITY,
    swapTotalBytes: bytesOf('SwapTotal') ?? 0,
    swapFreeBytes: bytesOf('SwapFree') ?? 0,
  }
  const limited = limitOfV2(cgroup) ?? limitOfV1(cgroup)
  if (limited === undefined || limited.totalBytes >= totalBytes) return memory
  const availableBytes = Math.max(0, Math.min(memory.availableBytes, limited.totalBytes - limited.usedBytes))
  return { ...memory, totalBytes: limited.totalBytes, availableBytes }
}

type Limited = { readonly totalBytes: number; readonly usedBytes: number }

/** The limit of the cgroup that this process sees as the root. The real root has no file with a limit in v2, and a limit of 2^63 in v1. */
const limitOfV2 = (at: string): Limited | undefined =>
  limitIn({ max: `${at}/memory.max`, used: `${at}/memory.current`, stat: `${at}/memory.stat`, cache: 'inactive_file' })

const limitOfV1 = (at: string): Limited | undefined =>
  limitIn({
    max: `${at}/memory/memory.limit_in_bytes`,
    used: `${at}/memory/memory.usage_in_bytes`,
    stat: `${at}/memory/memory.stat`,
    cache: 'total_inactive_file',
  })

type LimitFiles = { readonly max: string; readonly used: string; readonly stat: string; readonly cache: string }

function limitIn({ max, used, stat, cache }: LimitFiles): Limited | undefined {
  const limit = Number(kernelFile(max))
  if (!(limit > 0 && limit < Number.MAX_SAFE_INTEGER)) return undefined // no file, or "max"
  const reclaimable = new RegExp(`^${cache} (\\d+)`, 'm').exec(kernelFile(stat) ?? '')?.[1] ?? 0
  return { totalBytes: limit, usedBytes: Number(kernelFile(used)) - Number(reclaimable) }
}

/** How long processes have waited for memory lately, by the kernel's pressure stall information; undefined where the kernel has none. */
export function readMemoryStalls({
  proc = '/proc',
  cgroup = '/sys/fs/cgroup',
}: Folders = {}): MemoryStalls | undefined {
  const text = kernelFile(`${cgroup}/memory.pressure`) ?? kernelFile(`${proc}/pressure/memory`) ?? ''
  const shareOf = (who: string): number => Number(new RegExp(`^${who} avg10=([\\d.]+)`, 'm').exec(text)?.[1])
  const some = shareOf('some')
  return Number.isNaN(some) ? undefined : { some, full: shareOf('full') || 0 }
}
