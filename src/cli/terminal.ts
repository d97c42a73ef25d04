import { randomBytes } from 'node:crypto'
import { styleText } from 'node:util'
import { escapeControls } from '../lib/controls.ts'

type Style = 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Where a command speaks: data to stdout, all else to stderr. Tests give one of their own. */
export type Terminal = {
  readonly env: Readonly<Record<string, string | undefined>>
  out(text: string): void
  err(text: string): void
  /** Whether somebody sits there who can answer. */
  readonly interactive: boolean
  readonly colours: boolean
  /** The text in a style, for `out` and `err`. */
  style(style: Style, text: string): string
  ask(question: string): Promise<string>
  now(): number
  /** From here on an output that cannot be written ends nothing: a daemon outlives its terminal and a full disk. */
  outlive(): void
  /** From here on what is written to a terminal is not escaped. */
  raw(): void
}

/**
 * The terminal that this process was started from. A reader that leaves early (`shadow logs | head`) ends us quietly; a disk
 * that is full ends us with an error, since what was asked for is not there.
 *
 * What goes to a terminal has its control characters escaped, wherever it comes from: the lines of an app, its definition, the
 * errors of others. Our own styles are marked by a word that nobody can guess, and take their form behind the escaping.
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
  stderr.on('error', () => undefined) // there is nowhere left to tell it
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

/** Whether a terminal of this environment is shown colours. */
export const allowsColours = (env: Terminal['env']): boolean => !env['NO_COLOR'] && env['TERM'] !== 'dumb'

/** The text in a style, where the terminal shows colours. */
export const paint = (terminal: Terminal, style: Style, text: string): string =>
  terminal.colours ? terminal.style(style, text) : text
