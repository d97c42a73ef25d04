import type { LogLine } from '../model/instance.ts'
import type { AppName } from '../model/names.ts'
import type { Logs } from '../nodeproxy/logs/logs.ts'
import type { Container } from '../nodeproxy/runtime/runtime.ts'

/** Logs in memory. */
export class FakeLogs implements Logs {
  readonly lines = new Map<AppName, LogLine[]>()
  readonly pumped: string[] = []

  pump(container: Container): void {
    this.pumped.push(container.id)
  }

  note(app: AppName, line: string): void {
    this.lines.set(app, [...(this.lines.get(app) ?? []), { at: '', stream: 'shadow', line }])
  }

  async *read(app: AppName, { tail }: { tail: number }): AsyncIterable<LogLine> {
    yield* (this.lines.get(app) ?? []).slice(-tail)
  }

  async remove(app: AppName): Promise<void> {
    this.lines.delete(app)
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
