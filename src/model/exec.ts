/** The size of a terminal, in characters. */
export type TerminalSize = { readonly columns: number; readonly rows: number }

/** A command to run in the container of an app. */
export type Command = {
  readonly command: readonly string[]
  /** Variables beside those of the app. */
  readonly env: Readonly<Record<string, string>>
  /** `name`, `uid`, or either with `:group`; left out: the user of the image. */
  readonly user?: string | undefined
  readonly workdir?: string | undefined
  /** The size of the terminal that the command gets; left out: the command gets pipes. */
  readonly tty?: TerminalSize | undefined
}

/** Signals that a client may send to a command. */
export const SIGNALS = ['HUP', 'INT', 'QUIT', 'KILL', 'USR1', 'USR2', 'TERM', 'CONT', 'TSTP', 'WINCH', 'ALRM'] as const
export type SignalName = (typeof SIGNALS)[number]

/** How many bytes of input a client may send before the command has taken them. */
export const INPUT_WINDOW_BYTES = 262_144
/** The largest piece of input or output in one frame. */
export const MOST_PIECE_BYTES = 32_768

/** Each side of a session sends a ping so often, and gives the other side up after so long without a frame. */
export const SESSION_PING_EVERY = 15_000
export const SESSION_LOST_AFTER = 45_000
/** A new session has to say what it is for within this time. */
export const SESSION_START_WITHIN = 10_000

/** How many sessions may be open, of one app and of one node. */
export const SESSIONS_PER_APP = 32
export const SESSIONS_PER_NODE = 256
/** The same for connections that come by the TCP ports of fronts. */
export const CONNECTIONS_PER_APP = 1_000
export const CONNECTIONS_PER_NODE = 10_000

const LONGEST_SHOWN = 60

/** The command as `why` and `status` show it: its words, without control characters, cut where it is long. */
export function sayCommand(command: readonly string[]): string {
  const words = command.join(' ').replace(/[\p{Cc}`]/gu, ' ')
  return words.length > LONGEST_SHOWN ? `${words.slice(0, LONGEST_SHOWN)}…` : words
}
