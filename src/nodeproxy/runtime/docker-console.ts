import type { Duplex } from 'node:stream'
import { resolvesWithin } from '../../lib/abort.ts'
import { systemClock } from '../../lib/clock.ts'
import type { Command } from '../../model/exec.ts'
import { attachedOutput } from './attached-output.ts'
import type { DockerContainers } from './docker-containers.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import type { Container } from './runtime.ts'
import type { Terminal } from './terminal.ts'

const HUP_GRACE_MS = 3_000

/** Fields of Docker's for a container whose own command is joined with a client. */
export const consoleFields = ({ tty, user, workdir }: Command) => ({
  Tty: tty !== undefined,
  OpenStdin: true,
  StdinOnce: true,
  AttachStdin: true,
  AttachStdout: true,
  AttachStderr: true,
  ...(user !== undefined && { User: user }),
  ...(workdir !== undefined && { WorkingDir: workdir }),
})

/** The input and output of a container that is made and not started yet. */
export async function attachTo(engine: Engine, { id }: Container): Promise<Duplex> {
  const options = { hijack: true, stream: true, stdin: true, stdout: true, stderr: true }
  const socket = (await engine.ask(docker => docker.getContainer(id).attach(options))) as Duplex
  return socket.on('error', () => undefined) // readers and writers get it too
}

type Parts = {
  readonly engine: Engine
  readonly containers: Pick<DockerContainers, 'ended' | 'kill'>
  readonly container: Container
  readonly socket: Duplex
  readonly command: Command
}

/** The command of a container that has been started. Its end leaves the stopped container. */
export function consoleTerminal({ engine, containers, container, socket, command }: Parts): Terminal {
  const ended = containers.ended(container, new AbortController().signal)
  ended.catch(() => undefined) // `exitCode` reports it
  const isTerminal = command.tty !== undefined
  return {
    output: attachedOutput(socket as AsyncIterable<Buffer>, isTerminal),
    write: bytes => new Promise((resolve, reject) => socket.write(bytes, error => (error ? reject(error) : resolve()))),
    endInput: () => void socket.end(),
    async resize({ columns: w, rows: h }) {
      if (!isTerminal) return
      await engine.ask(docker => docker.getContainer(container.id).resize({ w, h })).catch(unlessStatus(404, 409, 500))
    },
    signal: name => containers.kill(container, `SIG${name}`),
    exitCode: () => ended,
    async end() {
      await containers.kill(container, 'SIGHUP')
      const isOver = await resolvesWithin(
        ended.catch(() => undefined),
        systemClock,
        HUP_GRACE_MS,
      )
      if (!isOver) await containers.kill(container, 'SIGKILL')
      socket.destroy()
    },
  }
}
