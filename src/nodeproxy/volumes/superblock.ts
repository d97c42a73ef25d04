import { open } from 'node:fs/promises'

// Offsets from the ext4 disk layout (kernel.org, "The Super Block"); it begins 1024 bytes into the device.
const AT = 1024
const MAGIC = 0x38
const STATE = 0x3a
const INCOMPATIBLE = 0x60

const EXT_MAGIC = 0xef53
const CLEANLY_UNMOUNTED = 1
const HAS_ERRORS = 2
const NEEDS_RECOVERY = 0x4

/** Whether the device or image has an ext4 filesystem that was unmounted in good order, by its own superblock. */
export async function isClean(path: string): Promise<boolean> {
  await using file = await open(path, 'r')
  const { bytesRead, buffer } = await file.read(Buffer.alloc(1024), 0, 1024, AT)
  if (bytesRead < 1024 || buffer.readUInt16LE(MAGIC) !== EXT_MAGIC) return false
  const state = buffer.readUInt16LE(STATE)
  const recovery = (buffer.readUInt32LE(INCOMPATIBLE) & NEEDS_RECOVERY) !== 0
  return (state & CLEANLY_UNMOUNTED) !== 0 && (state & HAS_ERRORS) === 0 && !recovery
}
