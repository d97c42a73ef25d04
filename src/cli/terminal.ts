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
}

/** The terminal that this process was started from. A reader that leaves early (`shadow logs | head`) ends us quietly. */
export function systemTerminal(): Terminal {
  const { env, stdin, stdout, stderr } = process
  stdout.on(
    'error',
    endOfPipe(() => process.exit(process.exitCode ?? 0)),
  )
  stderr.on(
    'error',
    endOfPipe(() => undefined),
  ) // a daemon goes on without a reader of its log
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
  }
}

const endOfPipe =
  (then: () => void) =>
  (error: NodeJS.ErrnoException): void => {
    if (error.code !== 'EPIPE') throw error
    then()
  }

/** The text in a style, where the terminal shows colours. */
export const paint = (terminal: Terminal, style: Style, text: string): string =>
  terminal.colours ? styleText(style, text, { validateStream: false }) : text
