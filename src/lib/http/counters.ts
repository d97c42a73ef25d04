/**
 * The counters of the data plane. They are plain numbers, so that counting costs one addition. Each thread has its own; the metrics add them up. Every
 * counter has its row in `src/lib/metrics/rows.ts`.
 */
export class Counters {
  /** Connections that were admitted. */
  connections = 0
  refusedPerAddress = 0
  refusedInAll = 0
  /** Connections of clients refused, and connections to upstreams not opened, because there were too many sockets. */
  refusedSockets = 0
  /** Requests over HTTP/2 refused because their address had too many open. */
  refusedStreams = 0
  /** Idle connections closed to make room for others. */
  madeRoom = 0
  /** TLS handshakes that succeeded, failed, and took too long. */
  handshakes = 0
  failedHandshakes = 0
  lateHandshakes = 0
  /** Connections ended after the most requests that one connection may serve. */
  servedMost = 0
  bytesIn = 0
  bytesOut = 0

  requests = 0
  headsMalformed = 0
  headsTarget = 0
  headsSize = 0
  headsFields = 0
  headsOther = 0
  bodiesTooLarge = 0

  /** Heads that were not complete in time. */
  lateHeads = 0
  /** Connections closed because no request came. */
  idle = 0
  /** Bodies of requests that came too slowly, or not at all. */
  slowBodies = 0
  /** Answers that their clients read too slowly, or not at all. */
  slowReaders = 0
  /** Upstreams that did not accept a connection in time. */
  lateConnects = 0
  /** Upstreams that did not begin their answer in time. */
  lateAnswers = 0

  upstreamConnects = 0
  /** Requests sent on a connection that had served another request. */
  upstreamReuses = 0
  /** Requests sent again because their pooled connection had been closed. */
  repeated = 0
  failedConnect = 0
  failedSend = 0
  failedHead = 0
  failedBody = 0

  /** Connections cut after a switch of protocols, because pings were not answered or bytes were not read. */
  lateSwitched = 0
  /** Connections of HTTP/2 cut because a ping was not answered. */
  unanswered = 0
  /** Streams of HTTP/2 that their client reset before they were answered. */
  resets = 0
  /** Connections of HTTP/2 ended because their client had reset too many streams. */
  refusedResets = 0
  webSockets = 0
  webSocketsOpen = 0
  /** Spans of traces that the collector has taken, and that were lost. */
  spansSent = 0
  spansLost = 0

  /** Answers by the first digit of their status. */
  readonly byClass = [0, 0, 0, 0, 0, 0]
  /** Our own error answers by the code of the error. */
  readonly byError: Record<string, number> = {}

  answered(status: number): void {
    const hundreds = Math.min(5, (status / 100) | 0)
    this.byClass[hundreds] = (this.byClass[hundreds] ?? 0) + 1
  }

  /** Counts an answer of our own. */
  answeredOurselves(status: number, code: string | undefined): void {
    this.answered(status)
    if (code !== undefined) this.erred(code)
  }

  erred(code: string): void {
    this.byError[code] = (this.byError[code] ?? 0) + 1
  }

  /** Counts a head that was refused with this status. `fields`: a 431 for too many headers, not for too many bytes. */
  refusedHead(status: number, fields = false): void {
    if (status === 431) {
      if (fields) this.headsFields += 1
      else this.headsSize += 1
    } else if (status === 400) this.headsMalformed += 1
    else if (status === 414) this.headsTarget += 1
    else this.headsOther += 1
  }

  /** Counts a failure of an upstream, by how far the request had got. */
  failed(stage: 'connect' | 'send' | 'head' | 'body'): void {
    if (stage === 'connect') this.failedConnect += 1
    else if (stage === 'send') this.failedSend += 1
    else if (stage === 'head') this.failedHead += 1
    else this.failedBody += 1
  }
}

/** The values of the counters at one moment, as threads send them to each other. */
export type Counted = { readonly [Name in keyof Counters as Counters[Name] extends number ? Name : never]: number } & {
  readonly byClass: readonly number[]
  readonly byError: Readonly<Record<string, number>>
  /** Connections that are open at that moment. */
  readonly open: number
  /** By how much the event loop of a worker was late, in seconds, since its counters were read before. */
  readonly lag?: { readonly p50: number; readonly p99: number; readonly max: number } | undefined
}
