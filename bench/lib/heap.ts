import { readFileSync, writeFileSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** The memory in use after a garbage collection. */
export type Heap = { readonly heapKiB: number; readonly buffersKiB: number }

const WITHIN_MS = 20_000
const fileIn = (folder: string): string => join(folder, 'heap.json')

/** At each SIGUSR2, this process collects garbage and writes its memory use into the folder. */
export function tellHeapIn(folder: string): void {
  process.on('SIGUSR2', () => {
    setFlagsFromString('--expose-gc')
    const gc: () => void = runInNewContext('gc')
    gc()
    gc() // frees what the first run finalised
    const { heapUsed, external } = process.memoryUsage()
    writeFileSync(`${fileIn(folder)}.new`, JSON.stringify({ heapKiB: heapUsed / 1_024, buffersKiB: external / 1_024 }))
    rename(`${fileIn(folder)}.new`, fileIn(folder)).catch(() => undefined) // the reader is gone
  })
}

/** The heap of a process that writes it into this folder. */
export async function heapOf(pid: number, folder: string): Promise<Heap> {
  await rm(fileIn(folder), { force: true })
  process.kill(pid, 'SIGUSR2')
  for (let waited = 0; waited < WITHIN_MS; waited += 20) {
    await sleep(20)
    try {
      return JSON.parse(readFileSync(fileIn(folder), 'utf8'))
    } catch {} // not there yet
  }
  throw new Error(`process ${pid} did not tell its heap`)
}
