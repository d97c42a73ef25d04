import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** The process id of the container's first process. */
export async function pidOf(container: string): Promise<number> {
  const { stdout } = await promisify(execFile)('docker', ['inspect', '--format', '{{.State.Pid}}', container])
  return Number(stdout)
}

/** Whether the kernel has stopped all processes of the container, by cgroup v1 or v2. */
export async function isStopped(container: string): Promise<boolean> {
  const groups = await readFile(`/proc/${await pidOf(container)}/cgroup`, 'utf8')
  const [, v1] = /^\d+:freezer:(.*)$/m.exec(groups) ?? []
  if (v1 !== undefined) return (await readFile(`/sys/fs/cgroup/freezer${v1}/freezer.state`, 'utf8')) === 'FROZEN\n'
  const [, v2] = /^0::(.*)$/m.exec(groups) ?? []
  return /^frozen 1$/m.test(await readFile(`/sys/fs/cgroup${v2}/cgroup.events`, 'utf8'))
}
