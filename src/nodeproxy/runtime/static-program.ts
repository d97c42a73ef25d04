/** `elf`: the number of the machine in elf(5); `code`: from where the program begins. */
export type StaticProgram = { readonly elf: number; readonly code: Uint8Array | readonly number[] }

const ELF_HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const LOADED_AT = 0x400000
// The largest page of these machines: the kernel refuses a program that is aligned to less.
const PAGE = 0x10000
const EXECUTABLE = 2
const LOAD = 1
const READ_AND_EXECUTE = 5

/** The file of a static program for Linux: an ELF header, one program header that loads the whole file, and the code. */
export function staticProgram({ elf, code }: StaticProgram): Buffer {
  const codeAt = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES
  const size = codeAt + code.length
  const bytes = Buffer.alloc(size)
  // elf(5): magic number, 64 bits, little-endian, version 1.
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  bytes.writeUInt16LE(EXECUTABLE, 16)
  bytes.writeUInt16LE(elf, 18)
  bytes.writeUInt32LE(1, 20)
  bytes.writeBigUInt64LE(BigInt(LOADED_AT + codeAt), 24) // where it begins
  bytes.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32) // where the program headers are
  bytes.writeUInt16LE(ELF_HEADER_BYTES, 52)
  bytes.writeUInt16LE(PROGRAM_HEADER_BYTES, 54)
  bytes.writeUInt16LE(1, 56) // of which there is one
  // It loads the whole file.
  bytes.writeUInt32LE(LOAD, ELF_HEADER_BYTES)
  bytes.writeUInt32LE(READ_AND_EXECUTE, ELF_HEADER_BYTES + 4)
  for (const at of [16, 24]) bytes.writeBigUInt64LE(BigInt(LOADED_AT), ELF_HEADER_BYTES + at)
  for (const at of [32, 40]) bytes.writeBigUInt64LE(BigInt(size), ELF_HEADER_BYTES + at)
  bytes.writeBigUInt64LE(BigInt(PAGE), ELF_HEADER_BYTES + 48)
  bytes.set(code, codeAt)
  return bytes
}
