import type { Terminal } from './terminal.ts'

const FRAMES = ['|', '/', '-', '\\']
const EVERY_MS = 120
/** What is quicker shows nothing: a line that flashes by cannot be read. */
const AFTER_MS = 400

/** Shows on a terminal that something goes on, until it is disposed of; nothing elsewhere. `text` may change meanwhile. */
export function spinner(terminal: Pick<Terminal, 'live'>, text: () => string): Disposable {
  let frame = 0
  const draw = (): void => terminal.live(`${FRAMES[frame++ % FRAMES.length]}   ${text()}`)
  draw()
  const timer = setInterval(draw, EVERY_MS)
  timer.unref()
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer)
      terminal.live(undefined)
    },
  }
}

/** Waits for the work. If it takes longer than a moment, a terminal shows what goes on, and for how long. */
export async function whileShown<T>(
  terminal: Pick<Terminal, 'live' | 'now'>,
  text: string,
  work: () => Promise<T>,
): Promise<T> {
  const since = terminal.now()
  let shown: Disposable | undefined
  const timer = setTimeout(() => {
    shown = spinner(terminal, () => `${text} (${Math.round((terminal.now() - since) / 1_000)} s)`)
  }, AFTER_MS)
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    shown?.[Symbol.dispose]()
  }
}
