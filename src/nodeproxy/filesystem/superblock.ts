import { open } from 'node:fs/promises'

// Offsets from the ext4 disk layout (kernel.org, "The Super Block"); it begins 1024 bytes into the device.
const AT = 1024
const BLOCKS = 0x04
const FREE_BLOCKS = 0x0c
const LOG_BLOCK_SIZE = 0x18
const BLOCKS_PER_GROUP = 0x20
const INODES_PER_GROUP = 0x28
const MAGIC = 0x38
const STATE = 0x3a
const INODE_BYTES = 0x58
const INCOMPATIBLE = 0x60
const LABEL = 0x78
const LABEL_BYTES = 16
const RESERVED_DESCRIPTOR_BLOCKS = 0xce
const BLOCKS_HIGH = 0x150
const FREE_BLOCKS_HIGH = 0x158

const EXT_MAGIC = 0xef53
const CLEANLY_UNMOUNTED = 1
const HAS_ERRORS = 2
const NEEDS_RECOVERY = 0x4
const HAS_64_BITS = 0x80

/** What the superblock of an ext4 filesystem says of it. */
export type Superblock = {
  /** It was unmounted in good order, and no error was seen since. */
  readonly isClean: boolean
  readonly label: string
  /** The size of the filesystem, and what of it is used; as of the last unmount. */
  readonly sizeBytes: number
  readonly usedBytes: number
  /** A device that is larger by less than this has no room for another block group, so the filesystem cannot grow. */
  readonly groupOverheadBytes: number
}

/** Reads the superblock of a device or image; undefined where there is no ext4 filesystem. */
export async function readSuperblock(path: string): Promise<Superblock | undefined> {
  await using file = await open(path, 'r')
  const { bytesRead, buffer } = await file.read(Buffer.alloc(1024), 0, 1024, AT)
  if (bytesRead < 1024 || buffer.readUInt16LE(MAGIC) !== EXT_MAGIC) return undefined
  const state = buffer.readUInt16LE(STATE)
  const features = buffer.readUInt32LE(INCOMPATIBLE)
  const high = (features & HAS_64_BITS) === 0 ? 0 : 2 ** 32
  const blockBytes = 1024 * 2 ** buffer.readUInt32LE(LOG_BLOCK_SIZE)
  const blocks = buffer.readUInt32LE(BLOCKS) + high * buffer.readUInt32LE(BLOCKS_HIGH)
  const free = buffer.readUInt32LE(FREE_BLOCKS) + high * buffer.readUInt32LE(FREE_BLOCKS_HIGH)
  return {
    isClean: (state & CLEANLY_UNMOUNTED) !== 0 && (state & HAS_ERRORS) === 0 && (features & NEEDS_RECOVERY) === 0,
    label: buffer.toString('latin1', LABEL, LABEL + LABEL_BYTES).replace(/\0.*$/s, ''),
    sizeBytes: blocks * blockBytes,
    usedBytes: (blocks - free) * blockBytes,
    groupOverheadBytes: overheadBlocks(buffer, blocks, blockBytes) * blockBytes,
  }
}

// mke2fs and resize2fs drop a last group that holds little more than its own tables (lib/ext2fs/initialize.c).
function overheadBlocks(buffer: Buffer, blocks: number, blockBytes: number): number {
  const perGroup = buffer.readUInt32LE(BLOCKS_PER_GROUP)
  if (blocks % perGroup !== 0) return 1 // the last group is not full yet, so any whole block is a gain
  const tables = Math.ceil((buffer.readUInt32LE(INODES_PER_GROUP) * buffer.readUInt16LE(INODE_BYTES)) / blockBytes)
  const descriptors = Math.ceil(((blocks / perGroup + 1) * 64) / blockBytes)
  return 2 + tables + 1 + descriptors + buffer.readUInt16LE(RESERVED_DESCRIPTOR_BLOCKS) + 50
}
