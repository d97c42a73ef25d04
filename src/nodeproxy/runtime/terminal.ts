import type { SignalName, TerminalSize } from '../../model/exec.ts'

/** A piece of output. A command with a terminal writes to `stdout` alone. */
export type Output = { readonly stream: 'stdout' | 'stderr'; readonly bytes: Uint8Array }

/**
 * The other end of a session: a command in a container, or a connection to one of its ports.
 *
 * - `output` is read once. It ends when the other end has closed, and its reader sets the pace: a slow reader slows the command down.
 * - All methods may be called in any state. After the end they do nothing.
 */
export interface Terminal {
  readonly output: AsyncIterable<Output>
  /** Resolves when the other end has taken the bytes. Rejects if it takes no more: it has closed its input, or has ended. */
  write(bytes: Uint8Array): Promise<void>
  /** No more input comes. Bytes written before still arrive. */
  endInput(): void
  /** Sets the size of the terminal; does nothing if it has none. */
  resize(size: TerminalSize): Promise<void>
  /** Sends a signal to the command and the processes of its group. */
  signal(name: SignalName): Promise<void>
  /** The exit code, after the output has ended: 128 and the number of the signal for a command that a signal has ended. */
  exitCode(): Promise<number>
  /** Ends the command with all processes of its session: SIGHUP, and after a grace SIGKILL. Resolves when they are gone. */
  end(): Promise<void>
}
