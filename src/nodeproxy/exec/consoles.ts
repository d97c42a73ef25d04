import { randomBytes } from 'node:crypto'
import type { Log } from '../../lib/log.ts'
import type { Command } from '../../model/exec.ts'
import { type InstanceId, instanceId, logFields } from '../../model/instance-id.ts'
import type { AppName } from '../../model/names.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { Companions } from '../companions/companions.ts'
import type { KnownInstance } from '../reconcile.ts'
import type { Room } from '../room.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Terminal } from '../runtime/terminal.ts'
import type { UsageMeter } from '../usage/meter.ts'

type Options = {
  readonly runtime: Pick<Runtime, 'ensureImage' | 'console' | 'stop' | 'remove'>
  readonly room: Pick<Room, 'admit' | 'leave'>
  /** Counts what they use. */
  readonly meter?: Pick<UsageMeter, 'started' | 'ended'> | undefined
  /** Throws if the budget of the app is spent; left out: none has one. */
  readonly mustAfford?: ((app: AppName) => void) | undefined
  readonly companions: Pick<Companions, 'take' | 'leave'>
  readonly log: Log
}

const STOP_GRACE_MS = 2_000

/**
 * Containers of their own for one session each, with an app's image, variables and network. They have no volume, which has one writer, and no
 * visitors. The node removes what a crash leaves of them, as it does with any container that belongs to no instance.
 */
export class Consoles {
  readonly #options: Options
  readonly #open = new Map<InstanceId, TaskDefinition>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Those that are open, for the sweep of left-over containers. */
  get all(): readonly KnownInstance[] {
    return [...this.#open].map(([id, task]) => ({ id, task }))
  }

  /** Runs the command in a container of its own, which is removed when the session ends. Fails as a wake does. */
  async open({ volume: _, ...task }: TaskDefinition, command: Command, signal: AbortSignal): Promise<Terminal> {
    const { runtime, room, companions, meter, mustAfford, log } = this.#options
    mustAfford?.(task.app)
    const id = instanceId(task.app, `console-${randomBytes(4).toString('hex')}`)
    this.#open.set(id, task)
    const forget = (): void => {
      room.leave(id)
      companions.leave(id)
      this.#open.delete(id) // the sweep removes what could not be removed here
    }
    try {
      await room.admit(id, task, signal)
      await runtime.ensureImage(task.image, signal, task)
      await companions.take(id, task, signal)
      const { container, terminal } = await runtime.console(id, task, command, signal)
      meter?.started(container, task)
      return {
        ...terminal,
        async end() {
          try {
            meter?.ended({ container: container.id })
            await terminal.end()
            await runtime.stop(container, STOP_GRACE_MS)
            await runtime.remove(container)
          } catch (cause) {
            log.warn('console not removed', { ...logFields(id), cause })
          } finally {
            forget()
          }
        },
      }
    } catch (error) {
      forget()
      throw error
    }
  }
}
