import { ShadowError } from '../lib/errors.ts'
import type { NodeName } from '../model/names.ts'
import type { Caller } from './known-callers.ts'

/** Fails with `forbidden` if the caller is a node other than this one: a node's token is good for that node alone. */
export function mustBeNode(caller: Caller | undefined, node: NodeName): void {
  if (caller?.role !== 'node' || caller.name === node) return
  throw new ShadowError(
    'forbidden',
    `this token is of the node "${caller.name}", the name it was made with, and may do nothing for the node "${node}"`,
    { hint: `shadow token create ${node} --role node` },
  )
}
