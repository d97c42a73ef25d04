import { access } from 'node:fs/promises'
import { readMemory, readMemoryStalls } from '../../lib/memory.ts'
import { sayBytes } from '../../model/quantities.ts'
import { type Check, type Finding, ok, warning } from './finding.ts'

type Folders = { readonly proc: string; readonly cgroup: string }

/** What the tiers between awake and asleep need of this machine. None of it is needed to run apps. */
export function tiersCheck(at: Folders = { proc: '/proc', cgroup: '/sys/fs/cgroup' }): Check {
  return { name: 'tiers', run: async () => [await freezer(at), await swap(at), await stalls(at)] }
}

async function freezer({ cgroup }: Folders): Promise<Finding> {
  const about = { check: 'tiers', what: 'the freezer of control groups, for frozen apps' }
  // In version 2 every group but the root has a freezer. A machine with both versions has it in version 1.
  for (const [version, path] of [
    [1, `${cgroup}/freezer`],
    [2, `${cgroup}/cgroup.controllers`],
  ] as const)
    if (await isThere(path)) return ok({ ...about, where: cgroup, value: `version ${version}` })
  return warning(
    { ...about, where: cgroup, value: 'not there: apps are paused by Docker, which takes some ten milliseconds' },
    'boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1 in GRUB_CMDLINE_LINUX); in a container, run it with --privileged --cgroupns=host',
  )
}

async function swap(at: Folders): Promise<Finding> {
  const where = `${at.proc}/swaps`
  const about = { check: 'tiers', what: 'swap, for suspended apps', where }
  const { swapTotalBytes, swapFreeBytes } = readMemory(at)
  if (swapTotalBytes > 0)
    return ok({ ...about, value: `${sayBytes(swapFreeBytes)} of ${sayBytes(swapTotalBytes)} free` })
  return warning(
    { ...about, value: 'none: apps are frozen, and not suspended' },
    'in compressed memory: modprobe zram && mkswap "$(zramctl --find --size 2GiB)" && swapon --priority 100 /dev/zram0; at each boot: apt-get install zram-tools',
  )
}

async function stalls(at: Folders): Promise<Finding> {
  const where = `${at.proc}/pressure/memory`
  const about = { check: 'tiers', what: 'how long processes wait for memory (PSI)', where }
  const found = readMemoryStalls(at)
  if (found !== undefined) return ok({ ...about, value: `${found.some} % of the last 10 s` })
  return warning(
    { ...about, value: 'not counted by this kernel: a node goes by the free memory alone' },
    'boot with psi=1 (GRUB_CMDLINE_LINUX in /etc/default/grub, update-grub, reboot)',
  )
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
