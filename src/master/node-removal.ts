import { ShadowError } from '../lib/errors.ts'
import type { Volume } from '../model/app.ts'
import type { NodeName, VolumeId } from '../model/names.ts'
import type { Members } from './cluster/members.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import type { Relay } from './relay.ts'
import type { Tokens } from './tokens.ts'
import type { Volumes } from './volumes.ts'

type Parts = {
  readonly nodes: Nodes
  readonly volumes: Volumes
  readonly tokens: Tokens
  /** Of the cluster, if there is one. */
  readonly members: Members | undefined
  readonly relay: Pick<Relay, 'awakeOn'>
}

/** What a removal does: volumes that are lost with the node, and those that other nodes take over when the lease has ended. */
type Removal = { readonly lost: readonly Volume[]; readonly free: readonly Volume[] }
/** `isLost`: the machine is gone for good. `dryRun`: nothing is changed. */
type How = { readonly isLost: boolean; readonly dryRun: boolean }

/** A node without a record. */
type Gone = { readonly name: NodeName; readonly state: 'gone' }

export type NodeRemoval = ReturnType<typeof nodeRemoval>

/** Removes nodes. Nothing is lost silently: without `isLost` only a node that has nothing is removed. */
export function nodeRemoval({ nodes, volumes, tokens, members, relay }: Parts) {
  /** Fails with `node-in-use` if apps run on the node, may still be placed on it, or have their volume on its disk. */
  const mustHaveNothing = async (node: ControlledNode | Gone, local: readonly Volume[]): Promise<void> => {
    const { name } = node
    if (local.length > 0)
      throw new ShadowError(
        'node-in-use',
        `${count(local.length, 'volume')} on the disk of ${name}; nothing was changed`,
        {
          faults: local.map(({ id, app }) => ({
            field: id,
            message: app === null ? 'no app has it' : `the volume of ${app}`,
          })),
          hint:
            node.state === 'gone'
              ? `start it again; or if it is gone for good: shadow node rm ${name} --lost`
              : 'move them: shadow move APP --to NODE; or remove them: shadow remove APP --with-volume, or shadow volume rm VOLUME',
        },
      )
    if (node.state === 'gone') return
    const drain = `shadow node drain ${name}`
    if (node.cordon === undefined)
      throw new ShadowError('node-in-use', `${name} still takes apps; nothing was changed`, { hint: drain })
    const awake = await relay.awakeOn(node)
    if (awake.length > 0)
      throw new ShadowError('node-in-use', `${awake.join(', ')} not asleep on ${name}; nothing was changed`, {
        hint: drain,
      })
  }

  /** First of all, so that whoever has the machine, or a copy of its disk, takes up nothing meanwhile. */
  const revoke = async (name: NodeName): Promise<void> => {
    await tokens.removeOfNode(name)
    await members?.removeNode(name)
  }

  return {
    /**
     * Removes a node before its machine is ended. A machine that has joined without becoming a node loses its certificate. Fails with
     * `node-in-use`.
     */
    async removeEmpty(name: NodeName): Promise<readonly VolumeId[]> {
      const local = (await volumes.on(name)).filter(({ lease }) => lease?.until === null)
      const node = await nodes.find(name)
      if (node !== undefined || local.length > 0) await mustHaveNothing(node ?? { name, state: 'gone' }, local)
      await revoke(name)
      await nodes.remove(name)
      return []
    },

    /**
     * Removes a node whose machine has ended for good, by its cloud. Nothing writes on it any more: other nodes take over at once the volumes
     * that they reach. Returns the volumes that were on its disk.
     */
    async removeEnded(name: NodeName): Promise<readonly VolumeId[]> {
      await revoke(name)
      const leased = await volumes.on(name)
      const lost = leased.filter(({ lease }) => lease?.until === null).map(({ id }) => id)
      for (const { id, lease } of leased)
        if (lease !== null) await (lease.until === null ? volumes.markLost(id, lease) : volumes.endLease(id, lease))
      await nodes.remove(name)
      return lost
    },

    /**
     * Removes the record of the node, its tokens and its certificates. Fails with `not-found` and `node-in-use`. A lease that expires is never ended early: the
     * machine may be alive and still write.
     */
    async remove(name: NodeName, { isLost, dryRun }: How): Promise<Removal> {
      const node = await nodes.get(name)
      const leased = await volumes.on(name)
      const local = leased.filter(({ lease }) => lease?.until === null)
      if (!isLost) await mustHaveNothing(node, local)
      else if (node.state !== 'gone')
        throw new ShadowError('node-in-use', `${name} is not gone: it announced itself lately; nothing was changed`, {
          hint: `stop it first, or: shadow node drain ${name} and shadow node rm ${name}`,
        })
      const removal = { lost: local, free: leased.filter(({ lease }) => lease?.until !== null) }
      if (dryRun) return removal
      await revoke(name)
      for (const { id, lease } of local) if (lease !== null) await volumes.markLost(id, lease)
      await nodes.remove(name)
      return removal
    },
  }
}

const count = (number: number, what: string): string => (number === 1 ? `1 ${what} is` : `${number} ${what}s are`)
