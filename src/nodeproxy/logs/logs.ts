import type { LogLine } from '../../model/instance.ts'
import type { AppName } from '../../model/names.ts'
import type { Container } from '../runtime/runtime.ts'

/** What apps wrote and what happened to them, kept on this node across their sleeps, bounded. */
export interface Logs extends AsyncDisposable {
  /** Keeps what the container writes until it ends, from where the log stands on (an earlier run of this node may have kept its beginning). */
  pump(container: Container): void
  /** Adds an event of the app's life (`stream: "shadow"`). */
  note(app: AppName, line: string): void
  /** Its last `tail` lines, oldest first; with `follow` those that come, too, until the signal aborts. */
  read(app: AppName, options: { tail: number; follow: boolean }, signal: AbortSignal): AsyncIterable<LogLine>
  /** Removes all that is kept of the app. */
  remove(app: AppName): Promise<void>
}
