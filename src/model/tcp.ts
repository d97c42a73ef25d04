import type { Duration } from './quantities.ts'

/**
 * A port of the fronts whose connections go to a port of an app, byte for byte. A connection wakes the app. The rules belong to the app and
 * not to its task definition: a change restarts nothing.
 */
export type TcpPort = {
  /** The port of the app. */
  readonly port: number
  /** The port that the fronts listen on. */
  readonly listen: number
  /** A connection on which no byte passes for so long is closed; left out: none is. */
  readonly idle?: Duration | undefined
  /** How many connections a front lets in at a time; left out: `TCP_DEFAULTS.connections`. */
  readonly connections?: number | undefined
}

export const TCP_DEFAULTS = { connections: 100, above: 10_000 } as const
export const MOST_TCP_PORTS = 20

const LAST_PORT = 65_535

/** The port that fronts listen on for a port of an app, if nobody names one; undefined if there is none. */
export const usualListen = (port: number): number | undefined =>
  port + TCP_DEFAULTS.above <= LAST_PORT ? port + TCP_DEFAULTS.above : undefined

/** What a front says of a port that an app asks for: that it listens, or why not. */
export type FrontPort = { readonly listen: number; readonly app: string; readonly problem?: string | undefined }

/** What a front said last of all ports that apps ask for. */
export type FrontPorts = { readonly front: string; readonly at: string; readonly ports: readonly FrontPort[] }

/** A port in words: `15432 → 5432`. */
export const sayTcpPort = ({ listen, port, idle, connections }: TcpPort): string => {
  const more = [
    ...(idle === undefined ? [] : [`idle connections end after ${idle}`]),
    ...(connections === undefined ? [] : [`at most ${connections} connections`]),
  ]
  return `${listen} → ${port}${more.length > 0 ? ` (${more.join(', ')})` : ''}`
}
