import { MOST_SERVERS, type ServerShape, type Wanted } from '../../model/fleet.ts'
import { sayBytes } from '../../model/quantities.ts'
import type { NodeView, ServerView, World } from './world.ts'

/** One more server that the fleet needs. `zone`: it must be there, since the volume of an app is. */
export type Need = { readonly why: string; readonly zone?: string | undefined }

/** What a server, there or to come, can still take. */
type Bin = {
  /** With what idle apps would give back. */
  free: number
  slots: number
  readonly idle: number
  readonly zone: string | undefined
  readonly drivers: readonly string[] | undefined
}

/** Where nodes have said for so long that they have room, and refused an app all the same, their figures do not count for it. */
const STUBBORN_MS = 20_000

/** How many servers are missing, and why; with what cannot be mended by more of them. */
export function growth({ servers, others, wanted, shape, terms }: World): {
  needs: readonly Need[]
  notes: readonly string[]
} {
  const needs: Need[] = []
  const notes: string[] = []
  const there = [...others, ...servers.flatMap(({ node }) => node ?? [])].filter(({ isUsable }) => isUsable).map(binOf)
  const coming = servers.filter(isComing).map(({ machine }) => newBin(shape, machine?.zone))
  for (const app of wanted.toSorted((a, b) => b.bytes - a.bytes)) {
    const isStubborn = app.firstMs - app.lastMs >= STUBBORN_MS
    if (put(app, isStubborn ? coming : [...there, ...coming])) continue
    const impossible = whyNoServerHelps(app, shape)
    if (impossible !== undefined) {
      notes.push(impossible)
      continue
    }
    const bin = newBin(shape, app.zone)
    put(app, [bin])
    coming.push(bin)
    needs.push({ why: `no node has room for ${app.app} (${sayBytes(app.bytes)})`, zone: app.zone })
  }
  for (let free = total([...there, ...coming]); free < terms.warmBytes && needs.length < MOST_SERVERS; ) {
    needs.push({ why: `${sayBytes(free)} are free, and ${sayBytes(terms.warmBytes)} are to be kept free` })
    free += newBin(shape, undefined).free
  }
  return { needs, notes }
}

/** Whether the server is expected to take apps soon. */
const isComing = ({ record, node }: ServerView): boolean =>
  (record.phase === 'ordered' || record.phase === 'starting') && record.refused === undefined && node?.isUsable !== true

function put({ bytes, zone, driver }: Wanted, bins: readonly Bin[]): boolean {
  const bin = bins.find(
    one =>
      one.free >= bytes &&
      (driver === undefined || one.slots > 0) &&
      (driver === undefined || one.drivers === undefined || one.drivers.includes(driver)) &&
      (zone === undefined || one.zone === undefined || one.zone === zone),
  )
  if (bin === undefined) return false
  bin.free -= bytes
  if (driver !== undefined) bin.slots -= 1
  return true
}

const binOf = ({ freeBytes, idleBytes, freeSlots, zone, drivers }: NodeView): Bin => ({
  free: freeBytes + idleBytes,
  slots: freeSlots,
  idle: idleBytes,
  zone,
  drivers,
})

/** Of a server to come. As long as none has joined, one is taken to be large enough for everything: it is tried with one. */
const newBin = (shape: ServerShape | undefined, zone: string | undefined): Bin => ({
  free: shape?.bytes ?? Number.POSITIVE_INFINITY,
  slots: shape?.volumeSlots ?? Number.POSITIVE_INFINITY,
  idle: 0,
  drivers: shape?.drivers,
  zone,
})

function whyNoServerHelps({ app, bytes, driver }: Wanted, shape: ServerShape | undefined): string | undefined {
  if (shape === undefined) return undefined
  if (bytes > shape.bytes)
    return `${app} reserves ${sayBytes(bytes)}, and a server of this fleet has ${sayBytes(shape.bytes)}: it needs a larger type, or a smaller --reserve`
  if (driver !== undefined && shape.drivers?.includes(driver) === false)
    return `${app} has a volume of the driver ${driver}, which the servers of this fleet do not have`
  if (driver !== undefined && shape.volumeSlots === 0)
    return `${app} has a volume, and the servers of this fleet take none`
  return undefined
}

/** Memory that is free, or will be, though no idle app goes to sleep for it. */
const total = (bins: readonly Bin[]): number => bins.reduce((sum, { free, idle }) => sum + Math.max(0, free - idle), 0)
