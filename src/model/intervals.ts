import assert from 'node:assert/strict'

/** All intervals of the protocol between the daemons, in milliseconds, with what must hold between them. */
export const NODE_ANNOUNCES_EVERY = 5_000
export const DRAINING_ANNOUNCES_EVERY = 1_000
export const NODE_LOST_AFTER = 20_000
/** How often a front with public addresses announces itself, and after which silence name servers leave it out. */
export const FRONT_ANNOUNCES_EVERY = 5_000
export const FRONT_LOST_AFTER = 15_000
export const FRONT_CHECKS_NODES_EVERY = 2_000
export const NODE_CHECK_WITHIN = 1_000
export const MASTER_CALL_WITHIN = 5_000
/** During a wake, a node uses the last definition that it knows rather than wait longer than this for the master. */
export const MASTER_CALL_IN_WAKE_WITHIN = 1_000
export const STREAM_HEARTBEAT_EVERY = 2_000
export const STREAM_LOST_AFTER = 6_000
/** How often each master asks the store whether another master has changed something. */
export const CHANGES_LOOKED_FOR_EVERY = 1_000
/** A cached document counts as the newest for this long after the master last said that it has sent all changes. */
export const CHECKED_COUNTS_FOR = 1_800
/** The longest time from a change through any master until every cache has it, also when a stream has broken. */
const CHANGE_SEEN_WITHIN = 2_000
/** The pause between two tries to open the stream of changes, and meanwhile between two checks of each route in use. */
export const POLL_WITHOUT_STREAM_EVERY = 1_000
/** A route that is older is fetched again in the background; the old one serves meanwhile. */
export const ROUTE_STALE_AFTER = 15_000
/** How long requests wait for a node that stopped answering: a node that is restarted is back within seconds. */
export const NODE_BACK_WITHIN = 10_000
export const CLIENT_PING_EVERY = 30_000
/** How often a front looks whether the tokens by which visits are open were revoked. */
export const OPEN_VISITS_CHECKED_EVERY = 1_000
/** How long the URL that is asked about visitors of a session may take, and how long its consent counts for the same cookies. */
export const AUTH_ANSWERS_WITHIN = 5_000
export const AUTH_COUNTS_FOR = 5_000
/** How often a front decides how many instances its apps need. */
export const SCALE_DECIDED_EVERY = 500
/** How often a front asks the nodes for the load of instances. */
export const LOADS_READ_EVERY = 2_000
/** An instance that a front keeps awake sleeps by its own rules after this time, unless a front asks again. */
export const KEPT_FOR = 20_000
export const KEPT_AGAIN_EVERY = 5_000
/** How often a front asks for the apps of which instances are kept awake, if no change was heard. */
export const KEPT_LISTED_EVERY = 30_000
/** How long a request waits for an instance that has fewer requests in flight than its hard limit. */
export const HELD_WITHIN = 30_000
/** The longest time for which a snapshot keeps an awake app from writing. */
export const FROZEN_WITHIN = 10_000
/** A lease of a volume whose storage does not keep a second node out usually lasts so long after it was taken or renewed. */
const LEASE_LASTS = 60_000
export const LEAST_LEASE = 12_000

/** The times of a lease that expires. All of them are parts of how long it lasts. */
export type LeaseTimes = ReturnType<typeof leaseTimes>
export const leaseTimes = (lasts: number) => ({
  lasts,
  renewedEvery: lasts / 3,
  /** The clocks of two masters may differ by so much. */
  clockSkew: lasts / 12,
  /** An instance whose lease is lost has stopped and is unmounted within this time. */
  stopWithin: lasts / 4,
  /** Such an instance has so long to end by itself before it is killed. */
  grace: lasts / 12,
  /** If the node has not given the lease up by then, its guard process ends what uses the volume. */
  guardedFor: lasts - lasts / 6,
})
const USUAL_LEASE = leaseTimes(LEASE_LASTS)
/** How often the fronts of a fleet look at it, and how long the one that leads it has the lease. */
export const FLEET_LOOKED_AT_EVERY = 10_000
export const FLEET_LEASE = leaseTimes(60_000)
/** A wake that was refused for want of room counts as wanted for so long. */
export const WANTED_COUNTS_FOR = 60_000
/** A run on the backups of a volume whose master does not renew it has ended after this time. */
export const BACKUP_RUN_LASTS = 60_000
export const BACKUP_RUN_RENEWED_EVERY = 15_000
/** A certificate is valid from so long before it was made, for machines whose clocks are behind. */
export const CERTIFICATE_BACKDATED = 300_000
/** The clock of a machine that joins may differ from the master's by so much. */
export const CLOCKS_DIFFER_BY = 60_000

assert(NODE_LOST_AFTER >= 3 * NODE_ANNOUNCES_EVERY, 'a node would be lost after a single missed announcement')
assert(FRONT_LOST_AFTER >= 3 * FRONT_ANNOUNCES_EVERY, 'a front would be lost after a single missed announcement')
assert(KEPT_FOR >= 3 * KEPT_AGAIN_EVERY, 'an instance could sleep after a single call that failed')
assert(NODE_CHECK_WITHIN < FRONT_CHECKS_NODES_EVERY, 'checks of a node would overlap')
assert(CHANGES_LOOKED_FOR_EVERY < CHECKED_COUNTS_FOR, 'a cached document would count as old between two checks')
assert(CHECKED_COUNTS_FOR < CHANGE_SEEN_WITHIN, 'an old definition would be trusted for too long')
const { renewedEvery, clockSkew, stopWithin, grace, guardedFor } = USUAL_LEASE
assert(
  LEASE_LASTS - clockSkew - stopWithin >= renewedEvery + 2 * MASTER_CALL_WITHIN,
  'a lease would be lost after a single renewal that failed',
)
assert(grace < stopWithin, 'an instance could be unmounted only after its lease had ended')
assert(
  guardedFor > LEASE_LASTS - clockSkew - stopWithin + grace,
  'an instance would be killed by the guard in its grace',
)
assert(guardedFor < LEASE_LASTS - clockSkew, 'the guard would end what uses a volume that another node may have')
assert(
  FLEET_LEASE.lasts - FLEET_LEASE.clockSkew > 3 * (FLEET_LOOKED_AT_EVERY + MASTER_CALL_WITHIN),
  'a fleet would be led by another front after a single renewal that failed',
)
assert(
  BACKUP_RUN_LASTS > 3 * (BACKUP_RUN_RENEWED_EVERY + MASTER_CALL_IN_WAKE_WITHIN),
  'a run on backups would be lost after a single renewal that failed',
)
assert(STREAM_LOST_AFTER >= 3 * STREAM_HEARTBEAT_EVERY, 'a stream would be lost after a single missed heartbeat')
assert(
  CLOCKS_DIFFER_BY < CERTIFICATE_BACKDATED,
  'a certificate would not be valid yet at the machine that it was made for',
)
