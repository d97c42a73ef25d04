import { staticProgram } from '../static-program.ts'

/** Where the gate and its FIFO are in a parked container. */
export const GATE_FOLDER = '/run/shadow-gate'
export const GATE_FILE = 'gate'
export const FIFO_FILE = 'open'
export const GATE_PATH = `${GATE_FOLDER}/${GATE_FILE}`

/** Where the gate reads its message to (BASE), and how long a message may be (SIZE). */
export const MESSAGE_AT = 0x10000000
export const MOST_MESSAGE_BYTES = 0x200000

type Machine = { readonly elf: number; readonly code: readonly string[] }

// By the names that Docker has for architectures. The path of the FIFO follows the code.
const MACHINES: Readonly<Record<string, Machine>> = {
  x86_64: {
    elf: 62,
    code: [
      // mmap(BASE, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), else broken
      'bf00000010be00002000ba0300000041ba3200000049c7c0ffffffff4531c9b8090000000f05483d000000100f8590000000',
      // open(path, O_RDONLY), else broken; the file is in r12
      '488d3d9500000031f6b8020000000f0585c0787c4189c4',
      // the position, in ebx: BASE
      'bb00000010',
      // more: read(file, position, end - position), else broken; at its end to whole; position += what was read; jmp more
      '4489e74889deba0000201029da31c00f0585c0785f740401c3ebe5',
      // whole: close(file)
      '4489e7b8030000000f05',
      // the length that was read must be the first word of the message, else broken
      '81eb0000001041bd00000010493b5d00753d',
      // the second word, unless it is 0: chdir(it), else none
      '498b7d084885ff740bb8500000000f0585c07822',
      // stays: the third word is argv, the fourth is envp; the programs begin with the fifth
      '498b7510498b55184983c520',
      // next: the program, to none if it is 0; execve(program, argv, envp); jmp next
      '498b7d004885ff740db83b0000000f054983c508ebea',
      // none: jmp to the beginning; nop; nop
      'e940ffffff9090',
      // broken: exit code 125
      'bf7d000000',
      // out: exit(code)
      'b83c0000000f05',
    ],
  },
  aarch64: {
    elf: 183,
    code: [
      // the same as above, word by word: mmap, with BASE in x21
      '1500a2d2e00315aa0104a0d2620080d2430680d204008092050080d2c81b80d2010000d41f0015eb41050054',
      // openat(AT_FDCWD, path, O_RDONLY); the file is in x19
      '600c809261050010020080d2030080d2080780d2010000d46004f8b7f30300aa',
      // the position, in x20: BASE
      'f40315aa',
      // more
      'e00313aae10314aaa2024891420014cbe80780d2010000d44003f8b7600000b49402008bf7ffff17',
      // whole: close(file)
      'e00313aa280780d2010000d4',
      // the length
      '940215cba00240f91f0014eb01020054',
      // chdir
      'a00640f9800000b4280680d2010000d42001f8b7',
      // stays
      'b6820091',
      // next
      'c08640f8c00000b4a10a40f9a20e40f9a81b80d2010000d4faffff17',
      // none
      'ceffff171f2003d5',
      // broken
      'a00f80d2',
      // out
      'a80b80d2010000d4',
    ],
  },
}

/**
 * The program that a parked container waits with, for the architecture of a Docker daemon; undefined for an unknown one. It opens its FIFO, reads a
 * message (see `gateMessage`) to its end, and becomes the program that the message names. So the process, its user, its rights and its
 * limits are those that Docker has made. If none of the programs can be run, it waits for another message. A message that was cut short ends it with
 * exit code 125. It is static, because an image may have no shell
 * and no library.
 */
export function gateProgram(architecture: string, fifo = `${GATE_FOLDER}/${FIFO_FILE}`): Buffer | undefined {
  const machine = Object.hasOwn(MACHINES, architecture) ? MACHINES[architecture] : undefined
  if (machine === undefined) return undefined
  const code = Buffer.from(machine.code.join(''), 'hex')
  return staticProgram({ elf: machine.elf, code: Buffer.concat([code, Buffer.from(`${fifo}\0`)]) })
}
