import type { Check, Finding } from './finding.ts'
import { ok, problem, warning } from './finding.ts'

type Info = {
  readonly ServerVersion?: string
  readonly Driver?: string
  readonly CgroupVersion?: string
  readonly CgroupDriver?: string
  readonly MemoryLimit?: boolean
  readonly SwapLimit?: boolean
  readonly PidsLimit?: boolean
  readonly CpuCfsQuota?: boolean
  readonly LiveRestoreEnabled?: boolean
}
export type ListedContainer = {
  readonly Id: string
  readonly Names: readonly string[]
  readonly State: string
  readonly Labels: Readonly<Record<string, string>>
}

/** The Docker of this machine. */
export type DockerFacts = { readonly info: Info; readonly containers: readonly ListedContainer[] }

const LEAST = [20, 10] as const
/** Each of their layers is a whole copy, or they are not kept up any more. */
const SLOW: ReadonlySet<string> = new Set(['vfs', 'devicemapper', 'aufs'])

/** Asks Docker for what it is and for the containers with labels of Shadow. Fails as calls to Docker do. */
export async function askDocker(socketPath: string): Promise<DockerFacts> {
  const { dockerEngine } = await import('../../nodeproxy/runtime/docker-engine.ts')
  const engine = dockerEngine(socketPath)
  const info = (await engine.ask(docker => docker.info())) as Info
  const filters = { label: ['shadow.node'] }
  const containers = await engine.ask(docker => docker.listContainers({ all: true, filters }))
  return { info, containers: containers as readonly ListedContainer[] }
}

/** Whether Docker answers, and is one that holds apps to their limits. */
export function dockerCheck(socketPath: string, asked: Promise<DockerFacts>): Check {
  return {
    name: 'docker',
    async run() {
      const about = { check: 'docker', where: socketPath }
      const facts = await asked.catch((error: Error) => error)
      if (facts instanceof Error) return [problem({ ...about, what: 'Docker', value: facts.message }, mendOf(facts))]
      return [...versionOf(facts.info, about), ...limitsOf(facts.info, about)]
    },
  }
}

type About = { readonly check: string; readonly where: string }

function versionOf(info: Info, about: About): Finding[] {
  const { ServerVersion: version = 'unknown', Driver: driver = 'unknown' } = info
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const isOld = major < LEAST[0] || (major === LEAST[0] && minor < LEAST[1])
  const aboutVersion = { ...about, what: 'its version', value: version }
  const aboutDriver = { ...about, what: 'its storage driver', value: driver }
  return [
    isOld ? problem(aboutVersion, `install Docker ${LEAST.join('.')} or later`) : ok(aboutVersion),
    SLOW.has(driver)
      ? warning(
          { ...aboutDriver, value: `${driver}: each wake copies the image` },
          'use overlay2: {"storage-driver": "overlay2"} in /etc/docker/daemon.json, then systemctl restart docker',
        )
      : ok(aboutDriver),
  ]
}

function limitsOf(info: Info, about: About): Finding[] {
  const group = `version ${info.CgroupVersion ?? '1'}, ${info.CgroupDriver ?? 'unknown'}`
  const lacks = [
    info.MemoryLimit === false && 'memory',
    info.PidsLimit === false && 'processes',
    info.CpuCfsQuota === false && 'processors',
  ].filter(one => one !== false)
  const limits = { ...about, what: 'control groups', value: group }
  const enable =
    'boot with cgroup_enable=memory swapaccount=1 (GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub, reboot)'
  return [
    lacks.length === 0
      ? ok(limits)
      : problem({ ...limits, value: `${group}; apps are not held to limits of ${lacks.join(', ')}` }, enable),
    ...(info.SwapLimit === false
      ? [warning({ ...limits, what: 'limits of swap', value: 'none: apps may swap beyond their memory' }, enable)]
      : []),
  ]
}

function mendOf(error: Error): string {
  const cause = String((error.cause as { code?: string } | undefined)?.code ?? error.message)
  if (/EACCES/.test(cause)) return 'run it as root, or as a member of the group docker'
  if (/ENOENT/.test(cause)) return 'apt-get install docker.io; another socket is named by SHADOW_DOCKER_SOCKET'
  return 'systemctl start docker; journalctl -u docker tells why it ended'
}
