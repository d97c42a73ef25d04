import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { Tracer } from '../lib/tracing/tracer.ts'
import type { Guard } from './access.ts'
import type { OrderedCertificates } from './acme/front-certificates.ts'
import type { Bounds } from './bounds.ts'
import type { ErrorAnswers } from './error-answers.ts'
import type { DemandListener } from './fleet/demand.ts'
import type { Https } from './https.ts'
import type { NodeConnector } from './node-connector.ts'
import type { Nodes } from './nodes.ts'
import type { Pins } from './pins.ts'
import type { Routes } from './routes.ts'
import type { SpreadApps } from './scaling/spread-apps.ts'
import type { SessionVisits } from './sessions/session-visits.ts'
import type { TrustedProxies } from './visitor.ts'
import type { KeptAnswers } from './wake/kept-answers.ts'
import type { WakeGate } from './wake/wake-gate.ts'

/** What a front's request handler works with. */
export type FrontParts = {
  readonly routes: Pick<Routes, 'resolve'>
  readonly pins: Pick<Pins, 'get' | 'set'>
  readonly nodes: Pick<Nodes, 'all' | 'appNetworks' | 'get' | 'failed' | 'mayComeBack' | 'refresh' | 'onSilent'>
  readonly connector: Pick<NodeConnector, 'hold' | 'follow'>
  /** Is told of apps that no node has room for. */
  readonly demand: DemandListener
  readonly guard: Guard
  readonly bounds: Bounds
  readonly trusted: TrustedProxies
  readonly errors: ErrorAnswers
  readonly https: Https
  readonly certificates: OrderedCertificates
  readonly gate: WakeGate
  readonly answers: KeptAnswers
  readonly spread: SpreadApps
  readonly visits: SessionVisits
  readonly waitingPageAfterMs: number
  /** Traces requests; undefined: none is traced. */
  readonly tracer: Tracer | undefined
  readonly clock: Clock
  readonly log: Log
  /** Aborts when streams must end because the front does. */
  readonly ending: AbortSignal
}
