import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'

/** Where a test starts a program: this machine, or one that is made of namespaces. */
export type Place = {
  /** The address at which other programs reach it. */
  readonly address: string
  spawn(command: readonly [file: string, ...args: string[]], options: SpawnOptions): ChildProcess
  /** Sends the signal to the program that was spawned. */
  signal(child: ChildProcess, signal: NodeJS.Signals): void
}

/** This machine. */
export const here: Place = {
  address: '127.0.0.1',
  spawn: ([file, ...args], options) => spawn(file, args, options),
  signal: (child, signal) => void child.kill(signal),
}
