import type { LogLine } from '../../../../model/instance.ts'
import { plainText } from './ansi.ts'
import { readLog } from './log-stream.ts'

/** The most lines that the master gives at once. */
const MOST = 100_000

/** Saves the lines as a file of text, as they are kept on the node: more than the page shows. */
export async function downloadLog(
  app: string,
  query: Readonly<Record<string, string>>,
  streams: readonly string[],
): Promise<void> {
  const parts: string[] = []
  const { signal } = new AbortController()
  const take = async (lines: readonly LogLine[]): Promise<void> => {
    const wanted = lines.filter(({ stream }) => streams.length === 0 || streams.includes(stream))
    if (wanted.length > 0) parts.push(wanted.map(textOf).join(''))
  }
  await readLog({ app, query, tail: MOST, isLive: false, signal, take, onState: () => undefined })
  const url = URL.createObjectURL(new Blob(parts, { type: 'text/plain;charset=utf-8' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `${app}.log`
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

function textOf({ at, stream, line, instance }: LogLine): string {
  const of = instance === undefined ? '' : ` ${instance}`
  return `${at}${of} ${stream === 'shadow' ? '#' : stream} ${plainText(line)}\n`
}
