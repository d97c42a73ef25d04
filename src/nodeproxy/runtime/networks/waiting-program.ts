import { type StaticProgram, staticProgram } from '../static-program.ts'

// By the names that Docker has for architectures. Each program calls the kernel to sleep, and again if a signal wakes it.
const MACHINES: Readonly<Record<string, StaticProgram>> = {
  // again: mov eax, 34 (pause); syscall; jmp again
  x86_64: { elf: 62, code: [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7] },
  // again: mov x0, 0; mov x1, 0; mov x2, 0; mov x3, 0; mov x8, 73 (ppoll: this kernel has no pause); svc 0; b again
  aarch64: {
    elf: 183,
    code: [0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800928, 0xd4000001, 0x17fffffa].flatMap(littleEndian),
  },
}

/**
 * A static program that only waits, for the architecture of a Docker daemon; undefined for an unknown one. As the first process of its PID
 * namespace it takes no signal but SIGKILL from outside. It is made here, since no machine is sure to have a static program that could do it.
 */
export function waitingProgram(architecture: string): Buffer | undefined {
  const machine = Object.hasOwn(MACHINES, architecture) ? MACHINES[architecture] : undefined
  return machine && staticProgram(machine)
}

function littleEndian(word: number): number[] {
  return [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24]
}
