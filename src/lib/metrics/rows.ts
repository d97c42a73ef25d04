import type { Counted } from '../http/counters.ts'

/** How one number of the counters is exported. */
type Row = {
  /** The name without the prefix `shadow_`. */
  readonly name: string
  readonly help: string
  readonly labels?: Readonly<Record<string, string>>
}

type Numbers = Exclude<keyof Counted, 'byClass' | 'byError' | 'open' | 'webSocketsOpen' | 'lag'>

const closed = (reason: string): Row => ({
  name: 'connections_closed_total',
  help: 'Connections of clients that were closed before they wished, by reason',
  labels: { reason },
})
const notLetIn = (reason: string): Row => ({
  name: 'connections_refused_total',
  help: 'Connections that were not let in, by the limit that they were over',
  labels: { reason },
})
const refused = (reason: string): Row => ({
  name: 'requests_refused_total',
  help: 'Requests that were refused by their head or the size of their body, by what was wrong',
  labels: { reason },
})
const late = (what: string): Row => ({
  name: 'timeouts_total',
  help: 'Waits that were given up: for handshakes, for heads, for bodies, for answers to be taken, for upstreams to accept a connection, for WebSockets to answer a ping or take bytes',
  labels: { what },
})
const failed = (stage: string): Row => ({
  name: 'upstream_failures_total',
  help: 'Requests whose upstream failed, by how far they had got',
  labels: { stage },
})
const bytes = (direction: string): Row => ({
  name: 'client_bytes_total',
  help: 'Bytes read from clients and written to them',
  labels: { direction },
})

const spans = (outcome: string): Row => ({
  name: 'spans_total',
  help: 'Spans of traces, by whether the collector has taken them; lost: it was away, or too slow',
  labels: { outcome },
})

/** Every counter has its row here: a counter without one does not compile. */
export const ROWS: Readonly<Record<Numbers, Row>> = {
  connections: { name: 'connections_total', help: 'Connections of clients that were let in' },
  refusedPerAddress: notLetIn('address'),
  refusedInAll: notLetIn('all'),
  refusedSockets: notLetIn('sockets'),
  refusedStreams: refused('streams'),
  madeRoom: closed('room'),
  servedMost: closed('requests'),
  idle: closed('idle'),
  handshakes: { name: 'handshakes_total', help: 'TLS handshakes that came through' },
  failedHandshakes: { name: 'handshakes_failed_total', help: 'TLS handshakes that failed, too late ones aside' },
  bytesIn: bytes('in'),
  bytesOut: bytes('out'),
  requests: { name: 'requests_total', help: 'Requests that were served' },
  headsMalformed: refused('malformed'),
  headsTarget: refused('target'),
  headsSize: refused('head'),
  headsFields: refused('fields'),
  headsOther: refused('other'),
  bodiesTooLarge: refused('body'),
  lateHandshakes: late('handshake'),
  lateHeads: late('head'),
  slowBodies: late('body'),
  slowReaders: late('reader'),
  lateConnects: late('connect'),
  lateAnswers: late('answer'),
  lateSwitched: late('websocket'),
  unanswered: late('ping'),
  resets: { name: 'streams_left_total', help: 'Streams of HTTP/2 that their client left before they were answered' },
  refusedResets: closed('resets'),
  upstreamConnects: { name: 'upstream_connects_total', help: 'Connections to upstreams that were opened' },
  upstreamReuses: { name: 'upstream_reuses_total', help: 'Requests sent on a connection that had served another' },
  repeated: {
    name: 'upstream_repeats_total',
    help: 'Requests sent once more as their pooled connection had been closed',
  },
  failedConnect: failed('connect'),
  failedSend: failed('send'),
  failedHead: failed('head'),
  failedBody: failed('body'),
  spansSent: spans('sent'),
  spansLost: spans('lost'),
  webSockets: { name: 'websockets_total', help: 'WebSockets that were opened' },
}

/** The sum of the counters of several threads. */
export function sum(all: readonly Counted[]): Counted {
  const total: Record<string, number> = { open: 0, webSocketsOpen: 0 }
  for (const name of Object.keys(ROWS)) total[name] = 0
  const byClass = [0, 0, 0, 0, 0, 0]
  const byError: Record<string, number> = {}
  for (const one of all) {
    for (const [name, value] of Object.entries(one)) {
      if (typeof value === 'number') total[name] = (total[name] ?? 0) + value
    }
    for (const [hundreds, count] of one.byClass.entries()) byClass[hundreds] = (byClass[hundreds] ?? 0) + count
    for (const [code, count] of Object.entries(one.byError)) byError[code] = (byError[code] ?? 0) + count
  }
  return { ...total, byClass, byError } as unknown as Counted
}
