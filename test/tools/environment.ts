import { execFile } from 'node:child_process'
import { access, readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Names of test nodes begin with this, and so do the labels of their containers: what a journey leaves behind can be recognised. */
export const TEST_NODE_PREFIX = 'test-'
/** Folders that journeys make under the system's temporary folder begin with this. */
export const TEST_FOLDER_PREFIX = 'shadow-test-'

const SETTLES_WITHIN_MS = 5_000

/** Before the journeys: checks that this machine can run them. After the journeys: fails if they left anything behind. */
export default async function checkEnvironment(): Promise<() => Promise<void>> {
  const missing = await whatIsMissing()
  if (missing.length > 0)
    throw new Error(`journeys cannot run on this machine:\n  ${missing.join('\n  ')}\nfix it with: make setup`)
  const before = new Set(await traces())
  return async () => {
    await removeNetworks()
    const left = await leftAfter(before)
    if (left.length > 0) throw new Error(`the journeys left behind:\n  ${left.join('\n  ')}`)
  }
}

/** Removes the network of each test node. A network that still has containers stays, and `leftAfter` reports those containers. */
async function removeNetworks(): Promise<void> {
  const format = '{{.Label "shadow.node"}} {{.ID}}'
  const networks = await lines('docker', ['network', 'ls', '--filter', 'label=shadow.node', '--format', format])
  for (const line of networks) {
    const [node = '', id = ''] = line.split(' ')
    if (node.startsWith(TEST_NODE_PREFIX) || node.startsWith('t-'))
      await run('docker', ['network', 'rm', id]).catch(() => undefined) // in use: its containers are reported
  }
}

async function whatIsMissing(): Promise<string[]> {
  const missing: string[] = []
  if (process.getuid?.() !== 0) missing.push('root: they mount filesystems')
  if (!(await succeeds(access('/dev/loop-control')))) missing.push('loop devices: /dev/loop-control is not there')
  for (const tool of ['mkfs.ext4', 'losetup', 'mount'])
    if (!(await succeeds(run(tool, ['-V'])))) missing.push(`${tool}: not on the PATH`)
  if (!(await succeeds(run('docker', ['version'])))) missing.push('Docker: it does not answer')
  return missing
}

/** Containers, networks, mounts and loop devices of tests, each as a line for people. */
export async function traces(): Promise<string[]> {
  const format = (name: string) => ['--filter', 'label=shadow.node', '--format', `{{.Label "shadow.node"}} {{${name}}}`]
  const [containers, networks, mounts, loops] = await Promise.all([
    lines('docker', ['ps', '--all', ...format('.Names')]),
    lines('docker', ['network', 'ls', ...format('.Name')]),
    readFile('/proc/self/mountinfo', 'utf8').then(text => text.split('\n').map(line => line.split(' ')[4] ?? '')),
    backingFiles(),
  ])
  const ofTestNode = (line: string): boolean => line.startsWith(TEST_NODE_PREFIX)
  const inTestFolder = (path: string): boolean => path.startsWith(join(tmpdir(), 'shadow-'))
  // A Docker daemon of the journeys that still runs has the network of the host mounted, once a build has used it.
  const ofDocker = (path: string): boolean => path.endsWith('/exec/netns/default')
  return [
    ...containers.filter(ofTestNode).map(line => `container of node ${line}`),
    ...networks.filter(ofTestNode).map(line => `network of node ${line}`),
    ...mounts.filter(path => inTestFolder(path) && !ofDocker(path)).map(path => `mount ${path}`),
    ...loops.filter(inTestFolder).map(path => `loop device on ${path}`),
  ]
}

// The kernel frees a loop device a moment after its last user has closed it.
async function leftAfter(before: ReadonlySet<string>): Promise<string[]> {
  const end = performance.now() + SETTLES_WITHIN_MS
  for (;;) {
    const left = (await traces()).filter(trace => !before.has(trace))
    if (left.length === 0 || performance.now() > end) return left
    await setTimeout(100)
  }
}

async function backingFiles(): Promise<string[]> {
  const devices = (await readdir('/sys/block')).filter(name => name.startsWith('loop'))
  const read = (device: string) => readFile(`/sys/block/${device}/loop/backing_file`, 'utf8').catch(() => '') // unbound
  return Promise.all(devices.map(read)).then(files => files.map(file => file.trim()))
}

async function lines(file: string, args: readonly string[]): Promise<string[]> {
  return (await run(file, args)).stdout.split('\n')
}

const succeeds = (attempt: Promise<unknown>): Promise<boolean> =>
  attempt.then(
    () => true,
    () => false,
  )
