import type { LogLine } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { Logs } from '../nodeproxy/logs/logs.ts'
import type { Container } from '../nodeproxy/runtime/runtime.ts'

/** Logs in memory. */
export class FakeLogs implements Logs {
  readonly lines = new Map<InstanceId, LogLine[]>()
  readonly pumped: string[] = []

  pump(container: Container): void {
    this.pumped.push(container.id)
  }

  note(instance: InstanceId, line: string): void {
    this.lines.set(instance, [...(this.lines.get(instance) ?? []), { at: '', stream: 'shadow', line }])
  }

  async *read(instance: InstanceId, { tail }: { tail: number }): AsyncIterable<LogLine> {
    yield* (this.lines.get(instance) ?? []).slice(-tail)
  }

  async remove(instance: InstanceId): Promise<void> {
    this.lines.delete(instance)
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
