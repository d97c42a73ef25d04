import type { InstanceId } from '../../model/instance-id.ts'
import type { AppName, NodeName } from '../../model/names.ts'
import type { Route } from '../../model/route.ts'

/** An instance that is ready, where a front may send requests to. */
export type Target = {
  readonly instance: InstanceId
  readonly node: NodeName
  /** Requests of other fronts that the instance had in flight when its node was asked last. */
  readonly others: number
  /** The revisions of earlier releases that keep their sessions there. */
  readonly formers?: readonly number[] | undefined
}

/** The instances of an app that may get requests, in order. */
export type AppTargets = {
  readonly targets: readonly Target[]
  /** Why there are not as many as there should be. */
  readonly problem?: string | undefined
}

/** What each thread of a front needs of the scaling, which runs in the main thread. */
export type Targets = {
  of(app: AppName): AppTargets
  /** Requests for the app come through this thread. */
  used(route: Route): void
  /** Requests wait for an instance of the app. */
  held(app: AppName): void
  /** The instance did not take a request: ask its node how it is. */
  doubt(app: AppName): void
  /** Calls back when the targets of an app may have changed. */
  onChange(listener: (app: AppName) => void): void
}

export const NO_TARGETS: AppTargets = { targets: [] }

/** Names for the gauges in the memory that threads share: requests in flight of an instance on a node, of an app, and requests that wait. */
export const gaugeOf = {
  instance: (instance: InstanceId, node: NodeName): string => `${instance} on ${node}`,
  app: (app: AppName): string => `${app} spread`,
  held: (app: AppName): string => `${app} held`,
}
