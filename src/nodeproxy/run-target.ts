import type { InstanceId } from '../model/instance-id.ts'
import { toMs } from '../model/quantities.ts'
import type { EventRecorder } from './event-recorder.ts'
import type { InstanceTarget } from './holds.ts'
import type { InstanceParts } from './instance-parts.ts'
import { Liveness } from './liveness.ts'
import type { Running } from './running-container.ts'
import { volumeOf } from './teardown.ts'

/** Where the requests for a run of the instance go, and what they learn of its end. */
export function runTargetOf(
  instance: InstanceId,
  running: Running,
  { runtime, clock, reopensWithinMs, reconcile, leases, requestsOf }: InstanceParts,
  events: EventRecorder,
): { readonly target: InstanceTarget; readonly liveness: Liveness } {
  const liveness = new Liveness(running, {
    runtime,
    clock,
    reopensWithinMs,
    reconcile,
    bootsUntil: running.readyAt + toMs(running.task.startWithin),
    onMemoryKill: () => events.memoryKill(running.task, clock),
  })
  const volume = volumeOf(instance, running.task)
  const target = {
    address: running.address,
    run: running.container.id,
    release: running.task.revision,
    webSockets: running.task.sleep.webSockets,
    refused: () => liveness.refused(),
    alive: () => liveness.alive(),
    badAnswer: (fault: string) => events.badAnswer(fault, clock),
    answersUntil: volume && leases.validUntil(volume.id),
    requests: requestsOf?.(running.task.app),
  }
  return { target, liveness }
}
