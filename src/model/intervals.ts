import assert from 'node:assert/strict'

/** All intervals of the protocol between the daemons, in milliseconds, with what must hold between them. */
export const NODE_ANNOUNCES_EVERY = 5_000
export const NODE_LOST_AFTER = 20_000
export const FRONT_CHECKS_NODES_EVERY = 2_000
export const NODE_CHECK_WITHIN = 1_000
export const MASTER_CALL_WITHIN = 5_000
/** On the way of a wake we rather use the last known definition than wait for a slow master. */
export const MASTER_CALL_IN_WAKE_WITHIN = 1_000
export const STREAM_HEARTBEAT_EVERY = 10_000
export const STREAM_LOST_AFTER = 30_000
export const POLL_WITHOUT_STREAM_EVERY = 5_000
/** A route that is older is asked for again in the background, the old one serving meanwhile. */
export const ROUTE_STALE_AFTER = 15_000
/** How long requests wait for a node that fell silent: one that is started again is back within seconds. */
export const NODE_BACK_WITHIN = 10_000
export const CLIENT_PING_EVERY = 30_000

assert(NODE_LOST_AFTER >= 3 * NODE_ANNOUNCES_EVERY, 'a node would be lost after a single missed announcement')
assert(NODE_CHECK_WITHIN < FRONT_CHECKS_NODES_EVERY, 'checks of a node would overlap')
assert(STREAM_LOST_AFTER >= 3 * STREAM_HEARTBEAT_EVERY, 'a stream would be lost after a single missed heartbeat')
