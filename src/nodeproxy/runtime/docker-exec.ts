import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type Docker from 'dockerode'
import { pause, resolvesWithin } from '../../lib/abort.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { Command } from '../../model/exec.ts'
import { attachedOutput } from './attached-output.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { messageOf, statusOf } from './failures.ts'
import type { Container } from './runtime.ts'
import { SessionProcesses } from './session-processes.ts'
import type { Output, Terminal } from './terminal.ts'

type Found = Docker.ExecInspectInfo
type Started = { readonly id: string; readonly socket: Duplex; readonly pid: number; readonly isTerminal: boolean }

const FIRST_LOOK_MS = 5
const MOST_LOOK_MS = 250
const LOOK_WITHIN_MS = 10_000
const GRACE_MS = 3_000
const KILLED_WITHIN_MS = 2_000
const MOST_MESSAGE_BYTES = 4_096
// Docker's exit codes for a command that could not be started.
const NOT_STARTED = [126, 127]

/** Commands that run in running containers beside the app, by Docker's exec. */
export class DockerExec {
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Starts the command. Fails with `command-not-found`, `bad-input` for a user or folder that is not there, and `app-unreachable`. */
  async start(container: Container, command: Command, signal: AbortSignal): Promise<Terminal> {
    const isTerminal = command.tty !== undefined
    const { id } = await this.#engine
      .ask(docker =>
        docker.getContainer(container.id).exec({
          Cmd: [...command.command],
          Env: Object.entries(command.env).map(([name, value]) => `${name}=${value}`),
          AttachStdin: true,
          AttachStdout: true,
          AttachStderr: true,
          Tty: isTerminal,
          ...(command.user !== undefined && { User: command.user }),
          ...(command.workdir !== undefined && { WorkingDir: command.workdir }),
        }),
      )
      .catch(orStopped(container))
    const socket = await this.#engine
      .ask(docker => docker.getExec(id).start(startOptions(command)))
      .catch(orStopped(container))
    socket.on('error', ignore) // readers and writers get it too
    try {
      const pid = await this.#pidOf(id, { container, command, socket }, signal)
      const terminal = new DockerTerminal(this.#engine, container, { id, socket, pid, isTerminal })
      if (command.tty !== undefined) await terminal.resize(command.tty)
      return terminal
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  /** The pid of the command on Docker's machine; 0 if the command has ended already. Docker knows it a moment after the start. */
  async #pidOf(
    id: string,
    { container, command, socket }: { container: Container; command: Command; socket: Duplex },
    signal: AbortSignal,
  ): Promise<number> {
    for (let waited = 0, ms = FIRST_LOOK_MS; ; waited += ms, ms = Math.min(2 * ms, MOST_LOOK_MS)) {
      const found = await inspect(this.#engine, id).catch(orStopped(container))
      const { Pid = 0, Running, ExitCode } = found as Found & { Pid?: number }
      if (Pid > 0) return Pid
      if (!Running && ExitCode !== null) {
        if (NOT_STARTED.includes(ExitCode))
          throw notStarted(container, command, await firstWords(socket, command.tty !== undefined))
        return 0
      }
      if (waited > LOOK_WITHIN_MS)
        throw new ShadowError('runtime-unreachable', `Docker did not start the command within ${LOOK_WITHIN_MS} ms`, {
          retryAfterMs: 1_000,
        })
      await pause(systemClock, ms, signal)
    }
  }
}

class DockerTerminal implements Terminal {
  readonly output: AsyncIterable<Output>
  readonly #engine: Engine
  readonly #started: Started
  readonly #processes: SessionProcesses | undefined
  readonly #clock: Clock = systemClock

  constructor(engine: Engine, container: Container, started: Started) {
    this.#engine = engine
    this.#started = started
    this.#processes = started.pid > 1 ? new SessionProcesses(container.id, started.pid) : undefined
    this.output = attachedOutput(started.socket as AsyncIterable<Buffer>, started.isTerminal)
  }

  write(bytes: Uint8Array): Promise<void> {
    const { socket } = this.#started
    return new Promise((resolve, reject) => socket.write(bytes, error => (error ? reject(error) : resolve())))
  }

  endInput(): void {
    this.#started.socket.end()
  }

  async resize({ columns: w, rows: h }: { columns: number; rows: number }): Promise<void> {
    const { id, isTerminal } = this.#started
    // A command that has just ended has no size: Docker says so by 404, 409 or 500.
    if (isTerminal)
      await this.#engine.ask(docker => docker.getExec(id).resize({ w, h })).catch(unlessStatus(404, 409, 500))
  }

  async signal(name: Parameters<Terminal['signal']>[0]): Promise<void> {
    await this.#processes?.signalGroup(name)
  }

  async exitCode(): Promise<number> {
    for (let ms = FIRST_LOOK_MS; ; ms = Math.min(2 * ms, MOST_LOOK_MS)) {
      // The container may have been removed with the command.
      const found = await inspect(this.#engine, this.#started.id).catch(unlessStatus(404, 409))
      if (found === undefined) return KILLED
      if (!found.Running && found.ExitCode !== null) return found.ExitCode
      await pause(this.#clock, ms, NEVER)
    }
  }

  async end(): Promise<void> {
    const { socket } = this.#started
    const gone = async (): Promise<boolean> => !((await this.#processes?.run()) ?? false)
    if (!(await gone())) {
      await this.#processes?.signalAll('HUP')
      await this.#processes?.signalAll('CONT') // a stopped process handles its SIGHUP only then
      if (!(await this.#within(GRACE_MS, gone))) await this.#processes?.signalAll('KILL')
      await this.#within(KILLED_WITHIN_MS, gone)
    }
    if (!socket.closed) {
      const closed = once(socket, 'close').catch(() => undefined)
      socket.destroy()
      await resolvesWithin(closed, this.#clock, KILLED_WITHIN_MS)
    }
  }

  async #within(ms: number, is: () => Promise<boolean>): Promise<boolean> {
    const until = this.#clock.now() + ms
    for (let wait = FIRST_LOOK_MS; this.#clock.now() < until; wait = Math.min(2 * wait, MOST_LOOK_MS)) {
      if (await is()) return true
      await pause(this.#clock, wait, NEVER)
    }
    return is()
  }
}

/** The size is known from the start to Docker 23 and later; an older one is told it a moment after the command has begun. */
const startOptions = ({ tty }: Command): Docker.ExecStartOptions => ({
  hijack: true,
  stdin: true,
  Tty: tty !== undefined,
  ...(tty !== undefined && { ConsoleSize: [tty.rows, tty.columns] }),
})

/** The exit code of a process that was killed by SIGKILL. */
export const KILLED = 137
const NEVER = new AbortController().signal
const ignore = (): void => undefined

const inspect = (engine: Engine, id: string): Promise<Found> => engine.ask(docker => docker.getExec(id).inspect())

/** The first words that came of a command that could not be started: Docker says there why. */
async function firstWords(socket: Duplex, isTerminal: boolean): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  using _limit = systemClock.after(KILLED_WITHIN_MS, () => socket.destroy(new Error('no words came')))
  for await (const { bytes: part } of attachedOutput(socket as AsyncIterable<Buffer>, isTerminal)) {
    parts.push(part)
    bytes += part.length
    if (bytes > MOST_MESSAGE_BYTES) break
  }
  return Buffer.concat(parts).toString().trim()
}

function notStarted({ app }: Container, { command, user, workdir }: Command, said: string): ShadowError {
  const why = said.replace(/^.*?(?=exec: |unable to find |chdir to cwd |unknown user)/s, '').replace(/: unknown$/, '')
  if (user !== undefined && /unable to find (?:user|group)|unknown user/i.test(said))
    return new ShadowError('bad-input', `the container of ${app} has no user "${user}"`, {
      hint: 'use a number: --user 1000:1000',
    })
  if (workdir !== undefined && /chdir to cwd|cwd/i.test(said))
    return new ShadowError('bad-input', `the container of ${app} has no folder "${workdir}"`)
  return new ShadowError('command-not-found', `"${command[0]}" cannot be run in the container of ${app}: ${why}`, {
    hint: `see what it has: shadow exec ${app} -- sh`,
  })
}

/** For `catch`: Docker answers 404 or 409 for a container that has stopped. */
const orStopped =
  ({ app }: Container) =>
  (error: unknown): never => {
    if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error
    throw new ShadowError('app-unreachable', `${app} stopped just now: ${messageOf(error)}`, { retryAfterMs: 1_000 })
  }
