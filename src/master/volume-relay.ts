import type { IncomingMessage, ServerResponse } from 'node:http'
import type { NodeClient } from '../api/client.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { mapAtMost } from '../lib/parallel.ts'
import type { App, Volume } from '../model/app.ts'
import type { VolumeUse } from '../model/instance.ts'
import type { AppName, NodeName, VolumeId } from '../model/names.ts'
import { place, sayRejected } from '../model/placement.ts'
import type { VolumeDriver } from '../model/task.ts'
import type { MoveProgress } from '../model/volume-move.ts'
import { gone, passOn } from './node-answers.ts'
import { asCandidate, type NodeChoice } from './node-choice.ts'
import type { ControlledNode, Nodes } from './nodes.ts'
import type { Volumes } from './volumes.ts'

type ReceivedBody = { readonly move: string; readonly neededBytes: number; readonly sizeBytes: number }
type ImportedQuery = {
  readonly move: string
  readonly driver?: VolumeDriver
  readonly size: number
  readonly bytes: number
}
/** The app that is being removed, or null; and the time of the last app that the data may be of. */
type Erased = { readonly app: AppName | null; readonly of: string }

type Parts = { readonly nodes: Nodes; readonly volumes: Volumes; readonly choice: NodeChoice }

/** Calls the nodes about volumes. */
export function volumeRelay({ nodes, volumes, choice }: Parts) {
  const { about, clientOf, reached, askAll, nodeWith, nodeOf, withDriver } = choice
  return {
    /** Streams the bytes of a volume from the node that has it. */
    async volumeImage(app: App, from: NodeName, response: ServerResponse, signal: AbortSignal) {
      const volume = app.task.volume?.id as VolumeId
      const client = await reached(await nodeWith(from, `the volume ${volume}`))
      const { headers } = about(app)
      const answer = await client.raw('sendVolume', { params: { volume }, query: { app: app.name }, headers, signal })
      await passOn(answer, response, 'application/octet-stream', signal)
    },
    /** Has the node copy a volume and take it over; see `moveApp`. */
    receiveVolume: async (to: ControlledNode, volume: VolumeId, body: ReceivedBody, signal: AbortSignal) =>
      (await reached(to)).call('receiveVolume', { params: { volume }, body, signal }),
    /** Streams a copy of the app's volume from the node that has it, or can attach it. */
    async exportVolume(app: App, response: ServerResponse, signal: AbortSignal) {
      const volume = app.task.volume?.id as VolumeId
      const client = await reached(await nodeOf(app))
      const { headers } = about(app)
      const answer = await client.raw('exportVolume', { params: { volume }, query: { app: app.name }, headers, signal })
      for (const name of ['x-shadow-length', 'x-shadow-size']) {
        const value = answer.headers[name]
        if (value !== undefined) response.setHeader(name, value)
      }
      await passOn(answer, response, 'application/octet-stream', signal)
    },
    /** Streams the image of a volume to the node that shall have it. */
    async importVolume(
      to: ControlledNode,
      volume: VolumeId,
      query: ImportedQuery,
      content: IncomingMessage,
      signal: AbortSignal,
    ) {
      const client = await reached(to)
      // A refusal must still reach the client, so a reader that stops early must not destroy the request.
      const body = content.iterator({ destroyOnReturn: false })
      await client.raw('importVolume', { params: { volume }, query, content: body, signal })
    },
    /** Where a volume without an app may be made: the node that a front would choose for its app. */
    async nodeForVolume(id: VolumeId, driver: VolumeDriver): Promise<ControlledNode> {
      const asked = await askAll(16)
      const needs = { volume: { node: null, isLocal: false, driver } }
      const { node, rejected } = place(id as string as AppName, needs, asked.map(asCandidate), {})
      if (node !== undefined) return node
      throw new ShadowError('no-node', `no node can take the volume ${id}: ${sayRejected(rejected)}`, {
        hint: 'shadow node ls',
      })
    },
    /** The node that has the volume of the app, or would get it, and how to call it about the app. Fails with `node-unreachable`. */
    async atVolume(app: App) {
      const node = await nodeOf(app)
      return { node: node.name, client: await reached(node), headers: about(app).headers }
    },
    /** A client of the node; undefined if the node was removed. Fails with `node-unreachable`. */
    async nodeClient(name: NodeName): Promise<NodeClient | undefined> {
      const node = await nodes.find(name)
      return node && reached(node)
    },
    /** A node that reaches what the driver has of the volume, which may be gone. */
    async nodeWithDriver(driver: VolumeDriver, id: VolumeId): Promise<NodeName> {
      const volume = await volumes
        .get(id)
        .catch(error => (isFailure(error, 'not-found') ? undefined : Promise.reject(error)))
      return withDriver(driver, (await volumes.placesOf(id)) ?? [], { id, zone: volume?.zone })
    },
    /** How far the move of a volume from this node is; null if it sends none. Fails with `node-unreachable`. */
    async moveFrom(name: NodeName, volume: VolumeId): Promise<MoveProgress | null> {
      const client = clientOf(await nodeWith(name, `the volume ${volume}`))
      return (await client.call('getVolumeMove', { params: { volume } })).move
    },
    /** How much a volume has on the disk of the node. Fails with `node-unreachable`. */
    async onDiskBytes(name: NodeName, volume: VolumeId): Promise<number> {
      const { items } = await clientOf(await nodeWith(name, `the volume ${volume}`)).call('listVolumes', {})
      return items.find(({ id }) => id === volume)?.onDiskBytes ?? 0
    },

    /** The volumes with their used space, as their nodes report it; the space is left out if the node does not answer. */
    async withUse(items: readonly Volume[]): Promise<Volume[]> {
      const names = new Set(items.flatMap(({ lease }) => lease?.node ?? []))
      const having = (await nodes.list()).filter(({ name }) => names.has(name))
      const uses = new Map<string, VolumeUse>()
      await mapAtMost(64, having, async node => {
        const { items: ofNode } = await clientOf(node)
          .call('listVolumes', {})
          .catch(() => ({ items: [] })) // the use stays unknown
        for (const { id, ...use } of ofNode) uses.set(`${node.name} ${id}`, use)
      })
      return items.map(volume => {
        const use = volume.lease === null ? undefined : uses.get(`${volume.lease.node} ${volume.id}`)
        return use === undefined ? volume : { ...volume, use }
      })
    },

    /**
     * Deletes a volume's data on every node that may have it. The node first puts the app to sleep and forgets it. Fails with
     * `node-unreachable`, and with `volume-in-use` where a node knows that an app has the volume that was registered after `of`.
     * A node that has given up its lease of a loop volume still has the data. A node that was removed from the records after that does not.
     * The data of a volume of another driver can be reached from all nodes with that driver: one of them deletes it.
     */
    async eraseVolume(id: VolumeId, { app, of: createdAt }: Erased, signal: AbortSignal): Promise<void> {
      const volume = await volumes.get(id)
      const { driver } = volume
      const lease = await volumes.leaseOf(id)
      const had = (await volumes.placesOf(id)) ?? (await nodes.list()).map(({ name }) => name)
      const places =
        driver !== undefined && had.length > 0 ? [lease?.node ?? (await withDriver(driver, had, volume))] : had
      const query = { createdAt, ...(app && { app }), ...(driver && { driver }) }
      for (const place of places) {
        const node = place === lease?.node ? await nodeWith(place, `the volume ${id}`) : await nodes.find(place)
        if (node === undefined) continue
        const client = await reached(node)
        if (app !== null) await gone(client.call('forgetApp', { params: { app }, query: { createdAt }, signal }))
        await gone(client.call('removeVolume', { params: { volume: id }, query, signal }))
      }
    },
  }
}
