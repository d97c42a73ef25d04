import type { LogLine } from '../../model/instance.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { Container } from '../runtime/runtime.ts'
import type { LineFilter } from './line-filter.ts'

/** Which lines: the last `tail` of those that the filter wants. */
export type ReadOptions = LineFilter & { readonly tail: number; readonly follow: boolean }

/** What instances wrote and what happened to them, kept on this node across their sleeps, bounded. */
export interface Logs extends AsyncDisposable {
  /** Keeps what the container writes until it ends, from where the log stands on (an earlier run of this node may have kept its beginning). */
  pump(container: Container): void
  /** Adds an event of the instance's life (`stream: "shadow"`). */
  note(instance: InstanceId, line: string): void
  /** Its last `tail` lines that are wanted, oldest first; with `follow` those that come, too, until the signal aborts. */
  read(instance: InstanceId, options: ReadOptions, signal: AbortSignal): AsyncIterable<LogLine>
  /** Removes all that is kept of the instance. */
  remove(instance: InstanceId): Promise<void>
}
