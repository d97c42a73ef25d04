import type { Exec } from '../../lib/exec.ts'

/** The size of a block in bytes; a filesystem is a whole number of them. */
const BLOCK = 4096

/** Labels of a volume's filesystem until its first app has it; from then on it has none. No app can see them. */
export const NEW = 'shadow-new'
export const FILLING = 'shadow-filling'

// A new sparse file reads as zeros, so neither mkfs nor the kernel after the first mount has to write them.
const PREZEROED = 'root_owner=0:0,nodiscard,lazy_itable_init=0,lazy_journal_init=0,assume_storage_prezeroed=1'

/** Makes an empty ext4 filesystem that any user may write to, labelled `NEW`. */
export async function makeFilesystem(at: string, exec: Exec): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', '-b', `${BLOCK}`, '-m', '0', '-L', NEW, '-E', PREZEROED, at])
  // An app of any uid may write to its volume, and databases want to find it empty.
  await exec('debugfs', ['-w', '-R', 'rmdir lost+found', at])
  await exec('debugfs', ['-w', '-R', 'set_inode_field / mode 040777', at])
}

/**
 * Repairs the filesystem of a device or image that is not mounted, as far as that is safe (`e2fsck -p`); `force` checks
 * one that says it is clean, too. A full check makes the folder `lost+found` where it is missing; it is removed again unless
 * e2fsck saved a file into it, so that the app finds its volume as it left it.
 */
export async function checkFilesystem(at: string, exec: Exec, { force = false } = {}): Promise<void> {
  const before = await hasLostAndFound(at, exec)
  await exec('e2fsck', [...(force ? ['-f'] : []), '-p', at], { alsoGood: [1] })
  if (before || !(await hasLostAndFound(at, exec))) return
  const listed = await exec('debugfs', ['-R', 'ls -p lost+found', at])
  const names = listed.split('\n').flatMap(line => line.split('/')[5] ?? [])
  if (names.some(name => name !== '.' && name !== '..')) return
  await exec('debugfs', ['-w', '-R', 'rmdir lost+found', at])
}

/** Makes the filesystem as large as its device or image, which must have been checked by `force` just before. */
export async function growFilesystem(at: string, exec: Exec): Promise<void> {
  await exec('resize2fs', [at])
}

/** Gives the filesystem another label; it may be mounted. */
export async function setLabel(device: string, label: string, exec: Exec): Promise<void> {
  await exec('e2label', [device, label])
}

// debugfs exits 0 whatever it finds; what it prints of an inode begins with its number.
async function hasLostAndFound(at: string, exec: Exec): Promise<boolean> {
  const output = await exec('debugfs', ['-R', 'stat lost+found', at]).catch(() => '') // e2fsck will report what is wrong
  return output.startsWith('Inode:')
}
