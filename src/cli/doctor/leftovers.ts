import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import type { DockerFacts } from './docker.ts'
import { type Check, type Finding, ok, problem, warning } from './finding.ts'

type Options = {
  readonly data: string
  /** The name of the node of this data folder. */
  readonly node: string
  readonly docker: Promise<DockerFacts>
}

const CHECK = 'leftovers'

/** What earlier runs have left: containers, mounts and devices without a node that runs, and processes of a version that was replaced. */
export function leftoverCheck({ data, node, docker }: Options): Check {
  return {
    name: CHECK,
    async run() {
      const isRunning = (await holderOf(`${data}/node/lock`)) !== undefined
      const containers = (await docker.catch(() => undefined))?.containers ?? []
      const ours = containers.filter(({ Labels }) => Labels['shadow.node'] === node)
      const others = containers.filter(({ Labels }) => Labels['shadow.node'] !== node)
      const bound = isRunning ? [] : await boundBelow(`${data}/volumes/`)
      const found = [
        ...(isRunning || ours.length === 0 ? [] : [withoutNode(ours.length, 'containers', node, data)]),
        ...(bound.length === 0 ? [] : [withoutNode(bound.length, 'mounts and loop devices', node, data, bound)]),
        ...ofOtherNodes(others),
        ...(await replaced()),
      ]
      if (found.length > 0) return found
      return [ok({ check: CHECK, what: 'what earlier runs have left', where: data, value: 'nothing' })]
    },
  }
}

const withoutNode = (count: number, what: string, node: string, data: string, where?: readonly string[]): Finding =>
  problem(
    {
      check: CHECK,
      what: `${what} of the node ${node}, which does not run`,
      where: where?.slice(0, 5).join(' ') ?? `docker ps --all --filter label=shadow.node=${node}`,
      value: String(count),
    },
    `start the node again, which takes them over or removes them: shadow up --data ${data}, or systemctl start shadow-nodeproxy`,
  )

/** Another node on this machine may have them, so that this is a warning. */
function ofOtherNodes(containers: DockerFacts['containers']): Finding[] {
  const byNode = Map.groupBy(containers, ({ Labels }) => Labels['shadow.node'] ?? '')
  return [...byNode].map(([node, having]) =>
    warning(
      {
        check: CHECK,
        what: `containers of the node ${node}, which is not that of this data folder`,
        where: `docker ps --all --filter label=shadow.node=${node}`,
        value: String(having.length),
      },
      `if no node ${node} runs here any more: docker rm --force $(docker ps --all --quiet --filter label=shadow.node=${node})`,
    ),
  )
}

/** Mountpoints and backing files of loop devices in the folder. */
async function boundBelow(folder: string): Promise<readonly string[]> {
  const { mountinfo } = await import('../../nodeproxy/filesystem/mountinfo.ts')
  const mounts = (await mountinfo()).map(({ at }) => at).filter(at => at.startsWith(folder))
  const blocks = (await readdir('/sys/block').catch(() => [])).filter(name => name.startsWith('loop'))
  const files = await Promise.all(
    blocks.map(block => readFile(`/sys/block/${block}/loop/backing_file`, 'utf8').catch(() => '')),
  )
  return [...mounts, ...files.map(file => file.trim()).filter(file => file.startsWith(folder))]
}

/** Daemons whose program was replaced or removed: they run an earlier version. */
async function replaced(): Promise<readonly Finding[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(pids.map(pid => replacedOne(pid).catch(() => undefined)))
  return found.filter(one => one !== undefined)
}

async function replacedOne(pid: string): Promise<Finding | undefined> {
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
  const verb = words.findIndex(word => /(^|\/)(shadow|shadow\.js|main\.[jt]s)$/.test(word))
  if (verb < 0 || !['up', 'master', 'nodeproxy', 'proxy'].includes(words[verb + 1] ?? '')) return undefined
  const script = words[verb] ?? ''
  const isGone = script.startsWith('/') && !(await stat(script).catch(() => undefined))
  if (!isGone && !(await readlink(`/proc/${pid}/exe`)).endsWith(' (deleted)')) return undefined
  return warning(
    {
      check: CHECK,
      what: `shadow ${words[verb + 1]} of a version that was replaced`,
      where: `process ${pid}`,
      value: script,
    },
    'restart it, so that the new version runs: apps that are awake go on',
  )
}

/** The process that has the lock of a data folder; undefined if none has. */
export async function holderOf(lock: string): Promise<number | undefined> {
  const found = await stat(lock).catch(() => undefined)
  if (found === undefined) return undefined
  for (const line of (await readFile('/proc/locks', 'utf8')).split('\n')) {
    const [, pid, inode] = /\b(?:POSIX|OFDLCK) .* (-?\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /.exec(line) ?? []
    if (Number(inode) === found.ino) return Number(pid)
  }
  return undefined
}
