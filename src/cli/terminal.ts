import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import type { Writable } from 'node:stream'
import { styleText } from 'node:util'
import { escapeControls } from '../lib/control-characters.ts'
import type { TerminalSize } from '../model/exec.ts'

type Style = 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** A terminal as a device. */
export type Screen = {
  size(): TerminalSize
  /** Passes on each key as it is pressed, until it is disposed of. */
  raw(): Disposable
  onResize(listener: (size: TerminalSize) => void): Disposable
}

/** Input and output of a command: data goes to stdout, messages go to stderr. Tests pass their own. */
export type Terminal = {
  readonly env: Readonly<Record<string, string | undefined>>
  out(text: string): void
  err(text: string): void
  /** Shows one line on a terminal that the next output replaces, or takes it away; nothing where stderr is no terminal. */
  live(text: string | undefined): void
  /** Whether a person can answer a question. */
  readonly interactive: boolean
  readonly colours: boolean
  /** The text in a style, for `out` and `err`. */
  style(style: Style, text: string): string
  ask(question: string): Promise<string>
  /** Asks on the terminal itself, without showing the answer; undefined where there is none. */
  askSecret(question: string): Promise<string | undefined>
  /** The bytes of stdin and stdout, for commands that stand in pipes. */
  readonly pipes: {
    readonly in: AsyncIterable<Uint8Array>
    readonly inIsTerminal: boolean
    readonly out: Writable
    readonly outIsTerminal: boolean
    readonly err: Writable
  }
  /** The terminal that a person sits at; undefined if stdin or stdout is none. */
  readonly screen: Screen | undefined
  now(): number
  /** Shows this text on a terminal in place of what is there. */
  redraw(text: string): void
  /** From now on a failed write does not end the process: a daemon outlives its terminal and a full disk. */
  outlive(): void
  /** From now on text is written to a terminal without escaping. */
  raw(): void
}

/** Back to the start of the line, and erases it. */
const CLEAR_LINE = '\r\u001b[K'

/**
 * The terminal of this process. If the reader of stdout closes the pipe (`shadow logs | head`), the process ends without an error.
 * If a write fails otherwise (a full disk), it ends with an error, because the output is incomplete.
 *
 * Control characters in all text for a terminal are escaped, since log lines, definitions and errors come from others. Our own
 * styles are marked with a random word and become control sequences after the escaping.
 */
export function systemTerminal(): Terminal {
  const { env, stdin, stdout, stderr } = process
  let isDaemon = false
  let isRaw = false
  const mark = randomBytes(12).toString('hex')
  const styles = new RegExp(`${mark}(\\w+)\\{([^]*?)${mark}\\}`, 'g')
  const to =
    (stream: NodeJS.WriteStream) =>
    (text: string): void => {
      const safe = stream.isTTY === true && !isRaw ? escapeControls(text) : text
      stream.write(
        safe.replaceAll(styles, (_, style: Style, inner: string) =>
          stream.isTTY === true ? styleText(style, inner, { validateStream: false }) : inner,
        ),
      )
    }
  const writeErr = to(stderr)
  const writeOut = to(stdout)
  let isLive = false
  const clear = (): void => {
    if (isLive) stderr.write(CLEAR_LINE)
    isLive = false
  }
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isDaemon) return
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
    stderr.write(`error: the output cannot be written: ${error.message}\n`, () => process.exit(1))
  })
  stderr.on('error', () => undefined) // there is no other place to report it
  return {
    env,
    out(text) {
      clear()
      writeOut(text)
    },
    err(text) {
      clear()
      writeErr(text)
    },
    live(text) {
      clear()
      if (text === undefined || stderr.isTTY !== true || env['TERM'] === 'dumb') return
      writeErr(text.slice(0, Math.max(10, (stderr.columns ?? 80) - 1)))
      isLive = true
    },
    interactive: stdin.isTTY === true && stderr.isTTY === true && !env['CI'],
    colours: stdout.isTTY === true && allowsColours(env),
    async ask(question) {
      const { createInterface } = await import('node:readline/promises')
      const lines = createInterface({ input: stdin, output: stderr })
      try {
        return await lines.question(question)
      } finally {
        lines.close()
      }
    },
    askSecret: async question => (await import('./ask-secret.ts')).askSecret(question),
    pipes: {
      get in() {
        return stdin
      },
      inIsTerminal: stdin.isTTY === true,
      out: stdout,
      outIsTerminal: stdout.isTTY === true,
      err: stderr,
    },
    get screen() {
      return stdin.isTTY === true && stdout.isTTY === true ? screenOf(process) : undefined
    },
    now: () => Date.now(),
    style: (style, text) => `${mark}${style}{${text}${mark}}`,
    redraw: text => {
      stdout.write('\x1b[H\x1b[2J')
      to(stdout)(text)
    },
    outlive: () => {
      isDaemon = true
    },
    raw: () => {
      isRaw = true
    },
  }
}

function screenOf({ stdin, stdout }: Pick<NodeJS.Process, 'stdin' | 'stdout'>): Screen {
  // A terminal without a size says 0, such as the serial console of a machine.
  const size = (): TerminalSize => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 })
  return {
    size,
    raw: () => {
      stdin.setRawMode(true)
      // Node leaves it to this terminal to put a CR before each LF. The terminal in the container does that already, and editors must not get it.
      spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] })
      return {
        [Symbol.dispose]: () => {
          spawnSync('stty', ['opost'], { stdio: ['inherit', 'ignore', 'ignore'] })
          stdin.setRawMode(false)
        },
      }
    },
    onResize: listener => {
      const changed = (): void => listener(size())
      stdout.on('resize', changed)
      return { [Symbol.dispose]: () => void stdout.off('resize', changed) }
    },
  }
}

/** Whether the environment allows colours on a terminal. */
export const allowsColours = (env: Terminal['env']): boolean => !env['NO_COLOR'] && env['TERM'] !== 'dumb'

/** The text in a style, if the terminal shows colours. */
export const paint = (terminal: Terminal, style: Style, text: string): string =>
  terminal.colours ? terminal.style(style, text) : text
