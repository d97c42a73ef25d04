import type { NodeName } from './names.ts'

/** Which node may attach a volume. `until` is null for a lease that ends only when it is released: a loop volume's bytes are on that node. */
export type Lease = { readonly node: NodeName; readonly epoch: number; readonly until: string | null }

/** What the bucket keeps of a volume's lease. `epoch` is that of the last lease that anybody had: it never falls. */
export type Leased = { readonly lease: Lease | null; readonly epoch: number }

/** Whether another node may take the lease over. `wall` is the time of the master that is asked, in ms since 1970. */
export const hasExpired = ({ until }: Lease, wall: number): boolean => until !== null && Date.parse(until) <= wall

/** The lease of another node, which keeps this one from having it. */
export function leaseOfOther({ lease }: Leased, node: NodeName, wall: number): Lease | undefined {
  return lease === null || lease.node === node || hasExpired(lease, wall) ? undefined : lease
}

/**
 * Gives the lease to the node; undefined if another node has it. A node that asks again for a lease that does not expire keeps the one that
 * it has. For one that expires it gets a new epoch: its last answer may have been lost.
 */
export function takeLease(now: Leased, node: NodeName, until: string | null, wall: number): Leased | undefined {
  const { lease, epoch } = now
  if (lease?.node === node && lease.until === null && until === null) return now
  if (leaseOfOther(now, node, wall) !== undefined) return undefined
  return { lease: { node, epoch: epoch + 1, until }, epoch: epoch + 1 }
}

/** Lengthens the lease of this node and epoch, also one that has expired and that nobody has taken; undefined if it is no longer theirs. */
export function renewLease(now: Leased, node: NodeName, epoch: number, until: string | null): Leased | undefined {
  if (now.lease?.node !== node || now.lease.epoch !== epoch) return undefined
  return { ...now, lease: { ...now.lease, until } }
}

/** Ends the lease of this node and epoch. Any other lease stays as it is: a release may arrive late. */
export function releaseLease(now: Leased, node: NodeName, epoch: number): Leased {
  return now.lease?.node === node && now.lease.epoch === epoch ? { ...now, lease: null } : now
}
