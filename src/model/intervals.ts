import assert from 'node:assert/strict'

/** All intervals of the protocol between the daemons, in milliseconds, with what must hold between them. */
export const NODE_ANNOUNCES_EVERY = 5_000
export const NODE_LOST_AFTER = 20_000
export const FRONT_CHECKS_NODES_EVERY = 2_000
export const NODE_CHECK_WITHIN = 1_000
export const MASTER_CALL_WITHIN = 5_000
/** On the way of a wake we rather use the last known definition than wait for a slow master. */
export const MASTER_CALL_IN_WAKE_WITHIN = 1_000
export const STREAM_HEARTBEAT_EVERY = 2_000
export const STREAM_LOST_AFTER = 6_000
/** How often each master looks whether another has changed something. */
export const CHANGES_LOOKED_FOR_EVERY = 1_000
/** What was checked counts as the newest for so long after the master last said that it had told all changes. */
export const CHECKED_COUNTS_FOR = 1_800
/** From a change through any master to whoever keeps what it changed, whatever stream broke. */
const CHANGE_SEEN_WITHIN = 2_000
/** Between two tries to have the stream of changes again, and between two questions about what is in use meanwhile. */
export const POLL_WITHOUT_STREAM_EVERY = 1_000
/** A route that is older is asked for again in the background, the old one serving meanwhile. */
export const ROUTE_STALE_AFTER = 15_000
/** How long requests wait for a node that fell silent: one that is started again is back within seconds. */
export const NODE_BACK_WITHIN = 10_000
export const CLIENT_PING_EVERY = 30_000

assert(NODE_LOST_AFTER >= 3 * NODE_ANNOUNCES_EVERY, 'a node would be lost after a single missed announcement')
assert(NODE_CHECK_WITHIN < FRONT_CHECKS_NODES_EVERY, 'checks of a node would overlap')
assert(CHANGES_LOOKED_FOR_EVERY < CHECKED_COUNTS_FOR, 'what is kept would be doubted between two looks')
assert(CHECKED_COUNTS_FOR < CHANGE_SEEN_WITHIN, 'an old definition would be trusted for too long')
assert(STREAM_LOST_AFTER >= 3 * STREAM_HEARTBEAT_EVERY, 'a stream would be lost after a single missed heartbeat')
