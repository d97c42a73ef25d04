import type { MasterClient } from '../api/client.ts'
import { ShadowError, systemCode } from '../lib/errors.ts'
import { readLines } from '../lib/http/api/events.ts'
import type { LogLine } from '../model/instance.ts'
import { paint, type Terminal } from './terminal.ts'

/** Yields the app's log, oldest line first. With `follow` it goes on until the connection ends. Fails with `master-unreachable`. */
export async function* readLog(
  master: MasterClient,
  app: string,
  { follow, tail }: { follow?: true; tail?: string | number },
): AsyncGenerator<LogLine> {
  const signal = new AbortController().signal // lines may be far apart
  const query = { ...(follow && { follow: 'true' as const }), ...(tail !== undefined && { tail }) }
  const { body } = await master.raw('appLogs', { params: { app }, query, signal })
  try {
    for await (const line of readLines(body)) if (line !== '') yield JSON.parse(line)
  } catch (cause) {
    if (systemCode(cause) === undefined) throw cause
    throw new ShadowError('master-unreachable', 'the log was cut off', { cause, hint: `shadow logs ${app} -f` })
  }
}

/** A line for people: its time, then what the app wrote, or after `#` an event of the app. */
export function showLine(terminal: Terminal, { at, stream, line }: LogLine): string {
  const time = paint(terminal, 'dim', at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'))
  return stream === 'shadow' ? `${time} ${paint(terminal, 'cyan', `# ${line}`)}\n` : `${time}   ${line}\n`
}
