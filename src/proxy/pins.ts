import type { InstanceId } from '../model/instance-id.ts'
import { type NodeName, nodeName } from '../model/names.ts'
import type { LocalStore } from './local-store.ts'

/** The node that each instance was last routed to: a hint, never a lock. A lost pin costs one placement. */
export class Pins {
  readonly #store: LocalStore
  readonly #pins = new Map<InstanceId, NodeName>()
  readonly #onChange: (instance: InstanceId, node: NodeName) => void

  constructor(store: LocalStore, onChange: (instance: InstanceId, node: NodeName) => void = () => undefined) {
    this.#store = store
    this.#onChange = onChange
  }

  get(instance: InstanceId): NodeName | undefined {
    const pin = this.#pins.get(instance)
    if (pin !== undefined) return pin
    const kept = this.#store.get(keyOf(instance))
    if (typeof kept !== 'string') return undefined
    this.#pins.set(instance, nodeName(kept))
    return this.#pins.get(instance)
  }

  set(instance: InstanceId, node: NodeName): void {
    if (this.#pins.get(instance) === node) return
    this.#pins.set(instance, node)
    this.#store.set(keyOf(instance), node)
    this.#onChange(instance, node)
  }

  forget(instance: InstanceId): void {
    this.#pins.delete(instance)
    this.#store.forget(keyOf(instance))
  }
}

const keyOf = (instance: InstanceId): string => `pin/${instance}`
