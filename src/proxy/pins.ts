import { type AppName, type NodeName, nodeName } from '../model/names.ts'
import type { Memory } from './memory.ts'

/** The node that each app was last routed to: a hint, never a lock. A lost pin costs one placement. */
export class Pins {
  readonly #memory: Memory
  readonly #pins = new Map<AppName, NodeName>()
  readonly #onChange: (app: AppName, node: NodeName) => void

  constructor(memory: Memory, onChange: (app: AppName, node: NodeName) => void = () => undefined) {
    this.#memory = memory
    this.#onChange = onChange
  }

  get(app: AppName): NodeName | undefined {
    const pin = this.#pins.get(app)
    if (pin !== undefined) return pin
    const kept = this.#memory.get(keyOf(app))
    if (typeof kept !== 'string') return undefined
    this.#pins.set(app, nodeName(kept))
    return this.#pins.get(app)
  }

  set(app: AppName, node: NodeName): void {
    if (this.#pins.get(app) === node) return
    this.#pins.set(app, node)
    this.#memory.set(keyOf(app), node)
    this.#onChange(app, node)
  }

  forget(app: AppName): void {
    this.#pins.delete(app)
    this.#memory.forget(keyOf(app))
  }
}

const keyOf = (app: AppName): string => `pin/${app}`
