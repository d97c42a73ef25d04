import type Docker from 'dockerode'
import { type Engine, unlessStatus } from './docker-engine.ts'
import type { Container, ContainerStats } from './runtime.ts'

type Said = Partial<Docker.ContainerStats>

/** What Docker says that a container uses, read once; undefined where it does not run. */
export async function dockerStats(engine: Engine, { id }: Container): Promise<ContainerStats | undefined> {
  const options = { stream: false, 'one-shot': true } as const
  const said = (await engine.ask(docker => docker.getContainer(id).stats(options)).catch(unlessStatus(404, 409))) as
    | Said
    | undefined
  // Docker answers for a stopped container too, without numbers.
  if (said?.memory_stats?.usage === undefined) return undefined
  const { memory_stats: memory, cpu_stats: cpu, pids_stats: pids, blkio_stats: disk, networks = {} } = said
  const ofDisk = (op: string): number =>
    (disk?.io_service_bytes_recursive ?? [])
      .filter(one => one.op.toLowerCase() === op)
      .reduce((sum, { value }) => sum + value, 0)
  const ofNetwork = (field: 'rx_bytes' | 'tx_bytes'): number =>
    Object.values(networks).reduce((sum, one) => sum + one[field], 0)
  // Pages of files that the kernel takes back when it wants them are not counted, as `docker stats` does it: by cgroup v1 and v2.
  const cached = memory.stats?.total_inactive_file ?? memory.stats?.inactive_file ?? 0
  return {
    cpuMs: (cpu?.cpu_usage.total_usage ?? 0) / 1e6,
    memoryBytes: Math.max(0, memory.usage - cached),
    memoryLimitBytes: memory.limit,
    receivedBytes: ofNetwork('rx_bytes'),
    sentBytes: ofNetwork('tx_bytes'),
    readBytes: ofDisk('read'),
    writtenBytes: ofDisk('write'),
    pids: pids?.current ?? 0,
  }
}
