import type { InstanceId } from '../../model/instance-id.ts'
import type { Logs } from './logs.ts'

const MOST_LINES = 10
// Events of Shadow itself stand among the lines.
const READ_LINES = 2 * MOST_LINES

/** What the instance wrote last, the oldest line first. */
export async function lastLinesOf(logs: Pick<Logs, 'read'>, instance: InstanceId): Promise<readonly string[]> {
  const read = logs.read(instance, { tail: READ_LINES, follow: false }, new AbortController().signal)
  const lines = await Array.fromAsync(read)
  return lines.flatMap(({ stream, line }) => (stream === 'shadow' ? [] : line)).slice(-MOST_LINES)
}
