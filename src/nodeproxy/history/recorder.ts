import type { Phase } from '../../model/instance.ts'
import type { InstanceId } from '../../model/instance-id.ts'
import type { NewEvent } from './store.ts'

/** What an instance tells of an event; when, and of which app, is added. */
export type NotedEvent = Omit<NewEvent, 'app' | 'at' | 'instance'>

/** Takes down what happens to the instances of a node. Neither call waits for anything. */
export interface HistoryRecorder {
  /** Something has happened, just now. */
  note(instance: InstanceId, event: NotedEvent): void
  phase(instance: InstanceId, phase: Phase): void
}
