import { setTimeout as wait } from 'node:timers/promises'
import { print } from './print.ts'
import type { Terminal } from './terminal.ts'

/** The flag of commands whose table may be shown again and again. */
export const WATCH = ['--watch', 'show it again and again, until Ctrl-C'] as const
export type WatchFlags = { readonly watch?: true }
const WATCHED_EVERY_MS = 2_000

type Options<T> = {
  readonly everyMs: number
  readonly json: true | undefined
  readonly read: () => Promise<T>
  readonly show: (value: T) => string
}

/**
 * Reads and shows something again and again, until the process is ended. A terminal shows the newest in place of the last; a pipe gets each
 * text that differs from the last one. With `json` each value is a line.
 */
export async function watch<T>(terminal: Terminal, { everyMs, json, read, show }: Options<T>): Promise<never> {
  let last: string | undefined
  for (;;) {
    const value = await read()
    const text = json === true ? `${JSON.stringify(value)}\n` : show(value)
    if (terminal.pipes.outIsTerminal && json !== true) terminal.redraw(text)
    else if (text !== last) terminal.out(last === undefined || json === true ? text : `\n${text}`)
    last = text
    await wait(everyMs)
  }
}

/** Shows something once or, with `--watch`, again and again. `notes` are lines about it for stderr; a watched table has them below it. */
export async function showOrWatch<T>(
  terminal: Terminal,
  flags: { readonly json?: true } & WatchFlags,
  { read, show, notes = () => '' }: Pick<Options<T>, 'read' | 'show'> & { readonly notes?: (value: T) => string },
): Promise<void> {
  const { json } = flags
  if (flags.watch)
    await watch(terminal, { everyMs: WATCHED_EVERY_MS, json, read, show: value => `${show(value)}${notes(value)}` })
  const value = await read()
  print(terminal, json, value, show)
  terminal.err(notes(value))
}
