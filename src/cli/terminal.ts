import { styleText } from 'node:util'

type Style = 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Where a command speaks: data to stdout, all else to stderr. Tests give one of their own. */
export type Terminal = {
  readonly env: Readonly<Record<string, string | undefined>>
  out(text: string): void
  err(text: string): void
  /** Whether somebody sits there who can answer. */
  readonly interactive: boolean
  readonly colours: boolean
  ask(question: string): Promise<string>
  now(): number
  /** From here on an output that cannot be written ends nothing: a daemon outlives its terminal and a full disk. */
  outlive(): void
}

/**
 * The terminal that this process was started from. A reader that leaves early (`shadow logs | head`) ends us quietly; a disk
 * that is full ends us with an error, since what was asked for is not there.
 */
export function systemTerminal(): Terminal {
  const { env, stdin, stdout, stderr } = process
  let isDaemon = false
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isDaemon) return
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
    stderr.write(`error: the output cannot be written: ${error.message}\n`, () => process.exit(1))
  })
  stderr.on('error', () => undefined) // there is nowhere left to tell it
  return {
    env,
    out: text => void stdout.write(text),
    err: text => void stderr.write(text),
    interactive: stdin.isTTY === true && stderr.isTTY === true && !env['CI'],
    colours: stdout.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb',
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
    outlive: () => {
      isDaemon = true
    },
  }
}

/** The text in a style, where the terminal shows colours. */
export const paint = (terminal: Terminal, style: Style, text: string): string =>
  terminal.colours ? styleText(style, text, { validateStream: false }) : text
