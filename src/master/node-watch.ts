import type { Clock } from '../lib/clock.ts'
import { ShadowError } from '../lib/errors.ts'
import type { NodeName } from '../model/names.ts'
import type { Nodes } from './nodes.ts'

const LOOKED_EVERY_MS = 5_000

type Watched = {
  readonly node: NodeName
  readonly nodes: Pick<Nodes, 'get'>
  readonly clock: Clock
  readonly what: string
}

/**
 * Calls back when the node is gone, until it is disposed: a machine that has lost its power closes no connection, and would be waited for
 * without end. `what` says what becomes of the work: `the move was called off`.
 */
export function watchNode({ node, nodes, clock, what }: Watched, onGone: (error: ShadowError) => void): Disposable {
  let next: Disposable
  const look = async (): Promise<void> => {
    const found = await nodes.get(node).catch(() => undefined) // a store that is away says nothing of the node
    if (found?.state === 'gone') onGone(new ShadowError('node-unreachable', `${node} is gone; ${what}`))
  }
  const again = (): void => {
    next = clock.after(LOOKED_EVERY_MS, () => {
      again()
      void look()
    })
  }
  again()
  return { [Symbol.dispose]: () => next[Symbol.dispose]() }
}
