import { readdir, readFile } from 'node:fs/promises'

const TICKS_A_SECOND = 100

/** The CPU time that all threads of the process have used, in ms: exact if the kernel provides it, else to 10 ms. */
export async function cpuMs(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`)
  const times = await Promise.all(threads.map(thread => runtimeMs(`/proc/${pid}/task/${thread}/sched`)))
  const known = times.filter(ms => ms !== undefined)
  if (known.length === threads.length) return known.reduce((sum, ms) => sum + ms, 0)
  const { utime, stime } = await stat(pid)
  return ticks(utime + stime)
}

/** The CPU time of the descendants that still run or were waited for, in ms, to 10 ms. */
export async function childrenCpuMs(pid: number): Promise<number> {
  const ended = await stat(pid)
  const threads = await readdir(`/proc/${pid}/task`)
  const lists = await Promise.all(threads.map(thread => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8')))
  const running = lists.join('').split(' ').filter(Boolean).map(Number)
  const theirs = await Promise.all(
    running.map(async child => {
      const { utime, stime } = await stat(child)
      return ticks(utime + stime) + (await childrenCpuMs(child))
    }),
  )
  return theirs.reduce((sum, ms) => sum + ms, ticks(ended.cutime + ended.cstime))
}

/** The resident memory in MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024
}

const ticks = (count: number): number => (count * 1_000) / TICKS_A_SECOND

async function runtimeMs(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '') // a kernel without this file
  const found = /se\.sum_exec_runtime\s*:\s*([\d.]+)/.exec(text)?.[1]
  return found === undefined ? undefined : Number(found)
}

// proc(5): the name may contain spaces and parentheses, so fields are counted from behind it. The state is the third.
async function stat(pid: number) {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const field = (number: number): number => Number(fields[number - 3])
  return { utime: field(14), stime: field(15), cutime: field(16), cstime: field(17) }
}

/** The CPU time that one part of `work` costs the process, in µs, and the parts per second. */
export async function cost(pid: number, parts: number, work: () => Promise<unknown>) {
  const from = performance.now()
  const before = await cpuMs(pid)
  await work()
  const cpuUs = (((await cpuMs(pid)) - before) * 1_000) / parts
  return { cpuUs, perSecond: (parts * 1_000) / (performance.now() - from) }
}
