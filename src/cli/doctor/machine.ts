import { access, constants, statfs } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { SYSTEM } from '../../lib/exec.ts'
import { readMemory } from '../../lib/memory.ts'
import { sayBytes } from '../../model/quantities.ts'
import { type Check, type Finding, ok, problem, warning } from './finding.ts'

/** The machine itself: its user, programs and devices. */
export function machineChecks(): readonly Check[] {
  return [
    { name: 'root', run: async () => [root()] },
    { name: 'loop devices', run: loopDevices },
    { name: 'programs', run: programs },
    { name: 'packet filter', run: packetFilter },
    { name: 'memory', run: memory },
  ]
}

function root(): Finding {
  const uid = process.geteuid?.()
  const about = { check: 'root', what: 'the user that runs this command', where: 'this process', value: `uid ${uid}` }
  if (uid === 0) return ok(about)
  return problem(about, 'a node mounts filesystems, which takes root: sudo shadow doctor, and run the node as root')
}

async function loopDevices(): Promise<readonly Finding[]> {
  const about = {
    check: 'loop devices',
    what: 'loop devices, on which volumes are mounted',
    where: '/dev/loop-control',
  }
  const there = await access('/dev/loop-control').then(
    () => true,
    () => false,
  )
  if (there) return [ok({ ...about, value: 'there' })]
  return [problem({ ...about, value: 'not there' }, 'modprobe loop; in a container, run it with --privileged and /dev')]
}

/** Programs that a node runs, and the packages of Debian that have them. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'mkfs.ext4': 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  resize2fs: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  e2label: 'e2fsprogs',
  losetup: 'mount',
  mount: 'mount',
  umount: 'mount',
  fsfreeze: 'util-linux',
  fstrim: 'util-linux',
  setpriv: 'util-linux',
}

async function programs(): Promise<readonly Finding[]> {
  const missing = (
    await Promise.all(Object.keys(PROGRAMS).map(async program => ((await found(program)) ? [] : [program])))
  ).flat()
  if (missing.length === 0) {
    const value = 'all there'
    return [ok({ check: 'programs', what: 'programs for volumes', where: SYSTEM.PATH, value })]
  }
  const packages = [...new Set(missing.map(program => PROGRAMS[program]))].join(' ')
  return missing.map(program =>
    problem(
      { check: 'programs', what: `the program ${program}`, where: SYSTEM.PATH, value: 'not there' },
      `apt-get install ${packages}`,
    ),
  )
}

async function packetFilter(): Promise<readonly Finding[]> {
  const about = { check: 'packet filter', what: 'iptables, which keeps apps from private networks', where: SYSTEM.PATH }
  if (await found('iptables')) return [ok({ ...about, value: 'there' })]
  return [
    problem(
      { ...about, value: 'not there, so that the node runs no app' },
      'apt-get install iptables; or let apps reach all of it: SHADOW_EGRESS=warn',
    ),
  ]
}

/** Whether the kernel gives memory away that it does not have: not so is a node that fails at odd moments. */
async function memory(): Promise<readonly Finding[]> {
  const { totalBytes, availableBytes } = readMemory()
  const value = `${sayBytes(availableBytes)} of ${sayBytes(totalBytes)} available`
  const about = { check: 'memory', what: 'memory of the machine', where: '/proc/meminfo', value }
  if (availableBytes > LEAST_MEMORY) return [ok(about)]
  return [
    warning(about, 'a wake waits for memory: stop what else runs here, or use a larger machine (ps aux --sort=-rss)'),
  ]
}

const LEAST_MEMORY = 128 * 2 ** 20

/** The path of the program, as a node finds it; undefined if it is not there. */
async function found(program: string): Promise<string | undefined> {
  for (const folder of SYSTEM.PATH.split(delimiter)) {
    const path = join(folder, program)
    const may = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (may) return path
  }
  return undefined
}

/** What the kernel calls filesystems that are no place for data, and why. */
const UNFIT: Readonly<Record<number, readonly [name: string, why: string]>> = {
  16914836: ['tmpfs', 'all volumes are lost when the machine restarts'],
  2240043254: ['ramfs', 'all volumes are lost when the machine restarts'],
  2035054128: ['overlayfs', 'it is that of a container, and goes with it'],
  26985: ['NFS', 'the bytes of volumes come late or not at all when the network fails'],
  4283649346: ['CIFS', 'the bytes of volumes come late or not at all when the network fails'],
  1702057286: ['FUSE', 'loop devices on it may lose writes that were acknowledged'],
}
const NAMES: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'XFS',
  2435016766: 'Btrfs',
  801189825: 'ZFS',
}

/** The filesystem of the data folder, and how much room it has. */
export function roomCheck(data: string, floorBytes: number): Check {
  return {
    name: 'room',
    async run() {
      const { path, facts } = await nearestStatfs(data)
      const [unfit, why] = UNFIT[facts.type] ?? []
      const name = unfit ?? NAMES[facts.type] ?? `type 0x${facts.type.toString(16)}`
      const kind = { check: 'data folder', what: 'its filesystem', where: path, value: name }
      const [free, total] = [facts.bavail * facts.bsize, facts.blocks * facts.bsize]
      const room = {
        check: 'data folder',
        what: 'room on its disk',
        where: path,
        value: `${sayBytes(free)} of ${sayBytes(total)} free`,
      }
      const mend = `free some (docker system df; du -xh --max-depth=2 ${path}), or move SHADOW_DATA to a larger disk`
      return [
        why === undefined
          ? ok(kind)
          : warning({ ...kind, value: `${name}: ${why}` }, 'put the data folder on a disk: SHADOW_DATA, or --data'),
        free <= floorBytes
          ? problem({ ...room, value: `${room.value}, less than SHADOW_DISK_FLOOR: apps that write are stopped` }, mend)
          : free < 2 * floorBytes || free < 0.1 * total
            ? warning(room, mend)
            : ok(room),
        facts.files > 0 && facts.ffree < 1_000
          ? problem({ ...room, what: 'files that it can make', value: `${facts.ffree} of ${facts.files} left` }, mend)
          : ok({
              ...room,
              what: 'files that it can make',
              value: facts.files > 0 ? `${facts.ffree}` : 'as many as fit',
            }),
      ]
    },
  }
}

/** Of the folder or, where it is not there yet, of the folder that it will be in. */
async function nearestStatfs(folder: string) {
  for (let path = folder; ; path = join(path, '..')) {
    try {
      return { path, facts: await statfs(path) }
    } catch (error) {
      if (path === '/') throw error
    }
  }
}
