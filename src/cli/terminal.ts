import { randomBytes } from 'node:crypto'
import { styleText } from 'node:util'
import { escapeControls } from '../lib/control-characters.ts'

type Style = 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Input and output of a command: data goes to stdout, messages go to stderr. Tests pass their own. */
export type Terminal = {
  readonly env: Readonly<Record<string, string | undefined>>
  out(text: string): void
  err(text: string): void
  /** Whether a person can answer a question. */
  readonly interactive: boolean
  readonly colours: boolean
  /** The text in a style, for `out` and `err`. */
  style(style: Style, text: string): string
  ask(question: string): Promise<string>
  now(): number
  /** From now on a failed write does not end the process: a daemon outlives its terminal and a full disk. */
  outlive(): void
  /** From now on text is written to a terminal without escaping. */
  raw(): void
}

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
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isDaemon) return
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
    stderr.write(`error: the output cannot be written: ${error.message}\n`, () => process.exit(1))
  })
  stderr.on('error', () => undefined) // there is no other place to report it
  return {
    env,
    out: to(stdout),
    err: to(stderr),
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
    now: () => Date.now(),
    style: (style, text) => `${mark}${style}{${text}${mark}}`,
    outlive: () => {
      isDaemon = true
    },
    raw: () => {
      isRaw = true
    },
  }
}

/** Whether the environment allows colours on a terminal. */
export const allowsColours = (env: Terminal['env']): boolean => !env['NO_COLOR'] && env['TERM'] !== 'dumb'

/** The text in a style, if the terminal shows colours. */
export const paint = (terminal: Terminal, style: Style, text: string): string =>
  terminal.colours ? terminal.style(style, text) : text
