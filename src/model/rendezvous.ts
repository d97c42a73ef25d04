import type { InstanceId } from './instance-id.ts'
import type { AppName, NodeName } from './names.ts'

/**
 * The weight of a pair in rendezvous hashing (Thaler and Ravishankar 1998), a whole number of 32 bits: the node with the greatest one is the
 * first choice. It is FNV-1a of each name, and MurmurHash3's last mixing of both. All fronts and masters must weigh alike.
 */
export const rendezvous = (app: AppName | InstanceId, node: NodeName): number =>
  mixed((fnv(app) + mixed(fnv(node))) | 0)

type Weighed<T> = { readonly item: T; readonly name: string; readonly weight: number }

/** Whether the first one is chosen before the other. Of equal weights, the greater name is. */
export const outweighs = (one: Omit<Weighed<unknown>, 'item'>, other: Omit<Weighed<unknown>, 'item'>): boolean =>
  one.weight === other.weight ? one.name > other.name : one.weight > other.weight

/** The two items with the greatest weights, the greatest first. */
export function bestTwo<T extends { readonly name: string }>(
  items: readonly T[],
  weigh: (item: T) => number,
): readonly [first: T | undefined, second: T | undefined] {
  let first: Weighed<T> | undefined
  let second: Weighed<T> | undefined
  for (const item of items) {
    const weighed = { item, name: item.name, weight: weigh(item) }
    if (first === undefined || outweighs(weighed, first)) {
      second = first
      first = weighed
    } else if (second === undefined || outweighs(weighed, second)) second = weighed
  }
  return [first?.item, second?.item]
}

/** FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv/ */
function fnv(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}

/** `fmix32` of MurmurHash3: each bit of the input changes half of the bits. */
function mixed(hash: number): number {
  let mix = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  mix = Math.imul(mix ^ (mix >>> 13), 0xc2b2ae35)
  return (mix ^ (mix >>> 16)) >>> 0
}
