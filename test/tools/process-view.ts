import { execFile } from 'node:child_process'
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { promisify } from 'node:util'

const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)('docker', args)).stdout.trim()

/** The fields of /proc/PID/status that belong to what a process was given. The bits of pending signals and the counts of memory do not. */
const STATUS =
  /^(?:Umask|Tgid|Uid|Gid|Groups|NStgid|NSpid|NSpgid|NSsid|Threads|SigQ|SigBlk|SigIgn|SigCgt|Cap\w+|NoNewPrivs|Seccomp|Seccomp_filters|Cpus_allowed|THP_enabled|CoreDumping):/
const OF_THIS_RUN = /^(?:Tgid|SigQ|NStgid|NSpid|NSpgid|NSsid):/
const CGROUPS: Readonly<Record<string, readonly string[]>> = {
  memory: ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes', 'memory.swappiness', 'memory.oom_control'],
  pids: ['pids.max'],
  cpu: ['cpu.cfs_quota_us', 'cpu.cfs_period_us', 'cpu.shares'],
  cpuset: ['cpuset.cpus'],
}

/** The pid on this machine of the process of an app in its container: the child of docker-init, or the first process. */
async function processOf(container: string): Promise<number> {
  const pid = Number(await docker('inspect', '--format', '{{.State.Pid}}', container))
  const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
  return Number(child || pid)
}

/** All that a process in a container was given and may see, so far as it should not differ between two starts of one definition. */
export async function processView(container: string): Promise<Record<string, unknown>> {
  const pid = await processOf(container)
  const read = (name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, 'utf8')
  const link = (name: string): Promise<string> => readlink(`/proc/${pid}/${name}`)
  const { Config, HostConfig } = JSON.parse(await docker('inspect', container))[0]
  const neutral = (text: string): string =>
    text.replaceAll(Config.Hostname, 'HOSTNAME').replace(/\b10\.\d+\.\d+\.\d+\b/g, 'ADDRESS')
  const own = (await read('status')).split('\n').filter(line => STATUS.test(line))
  const rest = (await read('stat')).replace(/^.*\) /, '').split(' ')
  const environ = (await read('environ')).split('\0').slice(0, -1)
  const names = environ.map(variable => variable.split('=', 1)[0])
  return {
    argv: (await read('cmdline')).split('\0').slice(0, -1),
    program: await link('exe'),
    environ: environ.map(neutral).sort(),
    givenTwice: names.filter((name, at) => names.indexOf(name) !== at),
    cwd: await link('cwd'),
    // A folder below another mount has the same path.
    isInFolder: (await stat(`/proc/${pid}/cwd/`)).dev === (await stat(`/proc/${pid}/root/${await link('cwd')}`)).dev,
    root: await link('root'),
    status: own.filter(line => !OF_THIS_RUN.test(line)),
    // The number of the process differs by what runc does beside it.
    leads: leadsOf(own),
    // The terminal, the nice value and the scheduling policy.
    stat: { tty: rest[4], priority: rest[15], nice: rest[16], policy: rest[38] },
    limits: await read('limits'),
    oom: (await read('oom_score_adj')).trim(),
    files: await filesOf(pid),
    mounts: mountsOf(await read('mountinfo')),
    hostname: neutral(await readFile(`/proc/${pid}/root/etc/hostname`, 'utf8')),
    hosts: neutral(await readFile(`/proc/${pid}/root/etc/hosts`, 'utf8')),
    resolv: neutral(await readFile(`/proc/${pid}/root/etc/resolv.conf`, 'utf8')),
    cgroups: await cgroupsOf(pid),
    namespaces: (await readdir(`/proc/${pid}/ns`)).sort(),
    dumpable: (await stat(`/proc/${pid}/environ`)).uid,
    security: HostConfig.SecurityOpt,
  }
}

async function filesOf(pid: number): Promise<readonly string[]> {
  const open = (await readdir(`/proc/${pid}/fd`)).map(Number).sort((one, two) => one - two)
  const links = open.map(async fd => `${fd} ${await readlink(`/proc/${pid}/fd/${fd}`)}`)
  return (await Promise.all(links)).map(file => file.replace(/\[\d+\]/, ''))
}

/** Of mounts one over the other the uppermost. */
function mountsOf(mountinfo: string): readonly string[] {
  const mounts = mountinfo.split('\n').filter(Boolean).map(mountOf)
  const uppermost = new Map(mounts.map(mount => [mount.at, JSON.stringify(mount)]))
  uppermost.delete('/run/shadow-gate')
  return [...uppermost.values()].sort()
}

function leadsOf(status: readonly string[]) {
  const numbers = (name: string): string =>
    status
      .find(line => line.startsWith(`${name}:`))
      ?.split('\t')
      .at(-1) ?? ''
  return { group: numbers('NSpid') === numbers('NSpgid'), session: numbers('NSsid') }
}

function mountOf(line: string) {
  const [, , , root = '', at = '', options = ''] = line.split(' ')
  const [kind = '', source = '', more = ''] = (line.split(' - ')[1] ?? '').split(' ')
  const id = /[0-9a-f]{16,}/g
  return {
    at,
    root: root.replace(id, 'ID'),
    options,
    kind,
    source: source.replace(/loop\d+/, 'loop'),
    more: kind === 'overlay' ? '' : more.replace(id, 'ID'),
  }
}

async function cgroupsOf(pid: number): Promise<readonly string[]> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n')
  const all = Object.entries(CGROUPS).map(async ([controller, files]) => {
    const [, , path = ''] = lines.find(line => line.split(':')[1]?.split(',').includes(controller))?.split(':') ?? []
    return Promise.all(
      files.map(
        async file =>
          `${file} ${await readFile(`/sys/fs/cgroup/${controller}${path}/${file}`, 'utf8').catch(() => 'none')}`,
      ),
    )
  })
  return (await Promise.all(all)).flat()
}
