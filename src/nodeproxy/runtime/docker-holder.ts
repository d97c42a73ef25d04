import { Readable } from 'node:stream'
import { type Engine, unlessStatus } from './docker-engine.ts'

const IMAGE = { repo: 'shadow-holder', tag: '1' }
const PROGRAM = 'holder'

// pause(2), again and again; on arm64, which has none, ppoll(2) of nothing.
const CODE: Readonly<Record<string, { machine: number; bytes: string }>> = {
  x64: { machine: 62, bytes: 'b8220000000f05ebf7' },
  arm64: { machine: 183, bytes: '000080d2010080d2020080d2030080d2280980d2010000d4faffff17' },
}

/**
 * Keeps a container that does nothing on the network, for as long as that lives. dockerd 20.10 locks up for good when two
 * containers leave a network at the same time and it is empty then (libnetwork: `processEndpointDelete` takes the controller's
 * lock before the network's, `getSvcRecords` the other way round): so ours is never empty.
 */
export async function holdNetwork({ ask }: Engine, network: string): Promise<void> {
  const program = programFor(process.arch)
  if (program === undefined) return
  const name = holderOf(network)
  const image = `${IMAGE.repo}:${IMAGE.tag}`
  const found = await ask(docker => docker.getContainer(name).inspect()).catch(unlessStatus(404))
  if (found?.State.Running) return
  if (found === undefined) {
    const isThere = await ask(docker => docker.getImage(image).inspect()).catch(unlessStatus(404))
    if (isThere === undefined) {
      const answer = await ask(docker => docker.importImage(Readable.from([tarOf(PROGRAM, program)]), IMAGE))
      for await (const _ of answer) {
        // the import is done when its answer has ended
      }
    }
    await ask(docker =>
      docker.createContainer({
        name,
        Image: image,
        Cmd: [`/${PROGRAM}`],
        Labels: { shadow: 'holder' },
        StopSignal: 'SIGKILL', // as PID 1 it hears no other, and dockerd's own end would wait 10 s for it
        HostConfig: {
          NetworkMode: network,
          ReadonlyRootfs: true,
          CapDrop: ['ALL'],
          SecurityOpt: ['no-new-privileges:true'],
          LogConfig: { Type: 'none', Config: {} },
          RestartPolicy: { Name: 'always' }, // it comes back with dockerd, before any of ours
        },
      }),
    ).catch(unlessStatus(409)) // another node of this machine was faster
  }
  await ask(docker => docker.getContainer(name).start()).catch(unlessStatus(304))
}

/** The name of the container that holds the network. */
export const holderOf = (network: string): string => `${network}-holder`

/** The smallest static ELF64 program that waits for ever; undefined where we do not speak the machine's language. */
function programFor(arch: string): Buffer | undefined {
  const code = CODE[arch]
  if (code === undefined) return undefined
  const headers = 64 + 56
  const bytes = Buffer.from(code.bytes, 'hex')
  const program = Buffer.alloc(headers + bytes.length)
  const base = 0x400000n
  program.write('\x7fELF\x02\x01\x01', 'latin1')
  program.writeUInt16LE(2, 16) // executable
  program.writeUInt16LE(code.machine, 18)
  program.writeUInt32LE(1, 20)
  program.writeBigUInt64LE(base + BigInt(headers), 24) // where it begins
  program.writeBigUInt64LE(64n, 32) // where the program header is
  program.writeUInt16LE(64, 52)
  program.writeUInt16LE(56, 54)
  program.writeUInt16LE(1, 56)
  program.writeUInt32LE(1, 64) // load
  program.writeUInt32LE(5, 68) // to be read and executed
  program.writeBigUInt64LE(base, 80)
  program.writeBigUInt64LE(base, 88)
  program.writeBigUInt64LE(BigInt(program.length), 96)
  program.writeBigUInt64LE(BigInt(program.length), 104)
  program.writeBigUInt64LE(0x1000n, 112)
  bytes.copy(program, headers)
  return program
}

/** A tar archive (POSIX ustar) of one executable file. */
function tarOf(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512)
  const octal = (value: number, at: number, length: number): void => {
    header.write(value.toString(8).padStart(length - 1, '0'), at)
  }
  header.write(name)
  octal(0o755, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(content.length, 124, 12)
  octal(0, 136, 12)
  header.write('0', 156)
  header.write('ustar\x0000', 257, 'latin1')
  header.fill(' ', 148, 156)
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  return Buffer.concat([header, content, Buffer.alloc(512 - (content.length % 512)), Buffer.alloc(1024)])
}
