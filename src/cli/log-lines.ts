import { setTimeout as wait } from 'node:timers/promises'
import type { MasterClient } from '../api/client.ts'
import { isFailure, ShadowError, systemCode } from '../lib/errors.ts'
import { readLines } from '../lib/http/api/events.ts'
import type { LogLine } from '../model/instance.ts'
import { SeenLines } from '../model/seen-lines.ts'
import { paint, type Terminal } from './terminal.ts'

type Query = {
  readonly follow?: true
  readonly tail?: string | number
  readonly since?: string
  readonly until?: string
  readonly grep?: string
  readonly instance?: string
}

const AGAIN_AFTER_MS = 1_000
/** After a lost connection the log is read again from its last line on, with at most so many lines. */
const MOST_AGAIN = 100_000

/**
 * Yields the app's log, oldest line first. With `follow` it goes on until the process ends: if the connection is lost, `onLost` is called once,
 * and the log is read on from where it was. Without, it fails with `master-unreachable` then.
 */
export async function* readLog(
  master: MasterClient,
  app: string,
  { follow, tail, since, until, grep, instance }: Query,
  onLost: () => void = () => undefined,
): AsyncGenerator<LogLine> {
  const filter = {
    ...(until !== undefined && { until }),
    ...(grep !== undefined && { grep }),
    ...(instance !== undefined && { instance }),
  }
  const seen = new SeenLines()
  let wasRead = false
  for (let isLost = false; ; ) {
    const again = seen.last
    const from = again ?? since
    const query = {
      ...filter,
      ...(follow && { follow: 'true' as const }),
      ...(again !== undefined ? { tail: MOST_AGAIN } : tail !== undefined && { tail }),
      ...(from !== undefined && { since: from }),
    }
    try {
      const signal = new AbortController().signal // lines may be far apart
      const { body } = await master.raw('appLogs', { params: { app }, query, signal })
      wasRead = true
      isLost = false
      for await (const text of readLines(body)) {
        if (text === '') continue
        const line = JSON.parse(text) as LogLine
        if (seen.isNew(line, again)) yield line
      }
      if (!follow) return
    } catch (cause) {
      const isCut = systemCode(cause) !== undefined
      // The first try tells what is wrong; later ones wait for a master and a node that are back.
      const mayPass =
        isCut || (wasRead && isFailure(cause, 'master-unreachable', 'node-unreachable', 'shutting-down', 'no-node'))
      if (!follow || !mayPass) {
        if (!isCut) throw cause
        throw new ShadowError('master-unreachable', 'the log was cut off', { cause, hint: `shadow logs ${app} -f` })
      }
    }
    if (!isLost) onLost()
    isLost = true
    await wait(AGAIN_AFTER_MS)
  }
}

/** A line for people: its time, the instance of an app that has several, then what the app wrote, or after `#` an event of the app. */
export function showLine(terminal: Terminal, { at, stream, line, instance }: LogLine): string {
  const time = paint(terminal, 'dim', at.replace('T', ' ').replace(/\.\d+Z$/, 'Z'))
  const of = instance === undefined ? '' : ` ${paint(terminal, 'dim', `${instance} |`)}`
  return stream === 'shadow' ? `${time}${of} ${paint(terminal, 'cyan', `# ${line}`)}\n` : `${time}${of}   ${line}\n`
}
