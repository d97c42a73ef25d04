/**
 * What the data plane counts, in place: plain numbers, so that counting costs an addition. A thread counts for itself; who shows them
 * adds them up. Every number has its row in `counted.ts`.
 */
export class Counters {
  /** Connections that were let in. */
  connections = 0
  refusedPerAddress = 0
  refusedInAll = 0
  /** Connections not let in, and connections to upstreams not opened, as there were too many sockets in all. */
  refusedSockets = 0
  /** Requests by HTTP/2 that were refused, as their address had too many open. */
  refusedStreams = 0
  /** Idle connections closed to let others in. */
  madeRoom = 0
  /** TLS handshakes that came through, that failed, and that took too long. */
  handshakes = 0
  failedHandshakes = 0
  lateHandshakes = 0
  /** Connections ended as they had served the most requests one may. */
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

  /** Heads that were not whole in time. */
  lateHeads = 0
  /** Connections closed as no request came. */
  idle = 0
  /** Bodies of requests that came too slowly, or not at all. */
  slowBodies = 0
  /** Answers that were taken too slowly, or not at all. */
  slowReaders = 0
  /** Upstreams that took no connection in time. */
  lateConnects = 0
  /** Upstreams that did not begin their answer in time. */
  lateAnswers = 0

  upstreamConnects = 0
  /** Requests sent on a connection that had served another. */
  upstreamReuses = 0
  /** Requests sent once more as their pooled connection had been closed. */
  repeated = 0
  failedConnect = 0
  failedSend = 0
  failedHead = 0
  failedBody = 0

  /** Connections that had switched, and were cut as pings had no answer or bytes were not taken. */
  lateSwitched = 0
  /** Connections of HTTP/2 that were cut as a ping had no answer. */
  unanswered = 0
  /** Streams of HTTP/2 that their client left before they were answered. */
  resets = 0
  /** Connections of HTTP/2 that were ended as their client had left too many streams. */
  refusedResets = 0
  webSockets = 0
  webSocketsOpen = 0

  /** Answers by the hundreds of their status. */
  readonly byClass = [0, 0, 0, 0, 0, 0]
  /** Answers of our own that tell of an error, by its code. */
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

  /** Counts a head that was refused with this status; `fields` tells the two meanings of 431 apart. */
  refusedHead(status: number, fields = false): void {
    if (status === 431) {
      if (fields) this.headsFields += 1
      else this.headsSize += 1
    } else if (status === 400) this.headsMalformed += 1
    else if (status === 414) this.headsTarget += 1
    else this.headsOther += 1
  }

  /** Counts an upstream's failure, by how far the request had got. */
  failed(stage: 'connect' | 'send' | 'head' | 'body'): void {
    if (stage === 'connect') this.failedConnect += 1
    else if (stage === 'send') this.failedSend += 1
    else if (stage === 'head') this.failedHead += 1
    else this.failedBody += 1
  }
}

/** The counters of a moment, as they cross from thread to thread. */
export type Counted = { readonly [Name in keyof Counters as Counters[Name] extends number ? Name : never]: number } & {
  readonly byClass: readonly number[]
  readonly byError: Readonly<Record<string, number>>
  /** Connections that are open now. */
  readonly open: number
}
