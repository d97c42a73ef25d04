import type { ServerSessionOptions } from 'node:http2'
import type { HeadLimits } from '../../wire/head.ts'

/** What a client may send of one body before we have taken any of it: it stays in memory while an app wakes. */
const STREAM_WINDOW = 131_072
/** The same of all bodies of a connection that are on their way: node:http2 counts what is read, taken or not, as gone. */
export const CONNECTION_WINDOW = 1_048_576

/**
 * The bounds of a session that node:http2 and nghttp2 hold for us; nghttp2 itself bounds the frames of a head (8 of CONTINUATION), what waits to
 * be sent in answer to PING and SETTINGS (1,000), and the rate of frames that are not quite right.
 */
export const sessionOptions = ({ headers, headBytes }: HeadLimits, streams: number): ServerSessionOptions => ({
  // More than a request may have: so what is a little too much gets an answer, and is not just reset. Cookies come in crumbs.
  maxHeaderListPairs: headers * 2,
  maxSessionMemory: 10,
  maxOutstandingPings: 10,
  maxSettings: 32,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  // Rapid reset (CVE-2023-44487): a browser that leaves a page resets what it had open, at once; nobody does so all the time.
  streamResetBurst: 200,
  streamResetRate: 50,
  // What an app says twice is for its client to judge.
  strictSingleValueFields: false,
  settings: {
    maxConcurrentStreams: streams, // a client is told, and one more is refused
    initialWindowSize: STREAM_WINDOW,
    maxHeaderListSize: headBytes * 2,
    enableConnectProtocol: false,
  },
})
