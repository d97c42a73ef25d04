import type { ServerSessionOptions } from 'node:http2'
import type { HeadLimits } from '../../wire/head.ts'

/** Bytes of one body that a client may send before we read any. They stay in memory while an app wakes. */
const STREAM_WINDOW = 131_072
/** The same for all bodies of a connection together. node:http2 opens this window again as soon as it has received the bytes, read or not. */
export const CONNECTION_WINDOW = 1_048_576

/**
 * The limits of a session that node:http2 and nghttp2 enforce. nghttp2 has limits of its own for the frames of a head (8 of CONTINUATION), for the
 * answers to PING and SETTINGS that wait (1,000), and for the rate of bad frames.
 */
export const sessionOptions = ({ headers, headBytes }: HeadLimits, streams: number): ServerSessionOptions => ({
  // More than a request may have, so that a slight excess is answered and not reset. Cookies are split into several headers.
  maxHeaderListPairs: headers * 2,
  maxSessionMemory: 10,
  maxOutstandingPings: 10,
  maxSettings: 32,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  // Rapid reset (CVE-2023-44487): a browser that leaves a page resets all of its open streams at once, but no client does so all the time.
  streamResetBurst: 200,
  streamResetRate: 50,
  // If an app sends a header twice, its client decides what that means.
  strictSingleValueFields: false,
  settings: {
    maxConcurrentStreams: streams, // announced to the client; one more is refused
    initialWindowSize: STREAM_WINDOW,
    maxHeaderListSize: headBytes * 2,
    enableConnectProtocol: false,
  },
})
