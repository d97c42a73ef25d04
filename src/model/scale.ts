import { type InstanceId, instanceId } from './instance-id.ts'
import type { AppName } from './names.ts'
import { type Duration, toMs } from './quantities.ts'

/**
 * How many instances of an app run. These rules belong to the app and not to its task definition: a change restarts nothing. An app with a
 * volume has one instance.
 */
export type Scale = {
  /** So many instances are kept awake, whether anybody uses the app or not. */
  readonly min: number
  /** Never more instances than this. */
  readonly max: number
  /** Left out: `SCALE_DEFAULTS`. */
  readonly concurrency?: Concurrency | undefined
  /** In percent of the processors of an instance: above that, on average, another instance starts. Left out: `SCALE_DEFAULTS`. */
  readonly cpu?: number | undefined
}

/**
 * Requests and WebSockets in flight of one instance. Above `soft`, on average, another instance is made ready. An instance is never given
 * more than `hard`.
 */
export type Concurrency = { readonly soft: number; readonly hard: number }

export const SCALE_DEFAULTS = { min: 0, max: 1, concurrency: { soft: 50, hard: 100 }, cpu: 80 } as const
export const MOST_INSTANCES = 1_000

/** An instance beyond the first sleeps after this time without a request, even if the app itself sleeps later or never. */
const REPLICA_IDLE_AFTER = '1m' as Duration

/** The rules of an app that says nothing about them. */
const USUAL: Scale = { min: SCALE_DEFAULTS.min, max: SCALE_DEFAULTS.max }

type Scaled = { readonly scale?: Scale | undefined; readonly hasVolume: boolean }

/** The rules by which requests for the app are spread over instances; undefined if all go to its plain instance. */
export const spreadOf = ({ scale, hasVolume }: Scaled): Scale | undefined => (hasVolume ? undefined : scale)

/** The limits of an instance. An app with one instance at most has none, unless it says so. */
export const concurrencyOf = ({ max, concurrency }: Scale): Concurrency =>
  concurrency ?? (max > 1 ? SCALE_DEFAULTS.concurrency : UNLIMITED)

const UNLIMITED: Concurrency = { soft: Number.POSITIVE_INFINITY, hard: Number.POSITIVE_INFINITY }

/** Whether nothing differs from an app without rules. */
export const isUsual = (scale: Scale): boolean =>
  scale.min === USUAL.min && scale.max === USUAL.max && scale.concurrency === undefined && scale.cpu === undefined

/** The id of the instance with this number: the plain instance is 1, then come `app.2`, `app.3`, … */
export const numbered = (app: AppName, number: number): InstanceId =>
  number === 1 ? instanceId(app) : instanceId(app, String(number))

/** Whether the instance was made by scaling, beside the plain one. */
const isReplica = (instance: InstanceId): boolean => /\.[1-9]\d*$/.test(instance)

/** After which time without use an instance sleeps, by what the definition of its app says. */
export function idleAfterOf(instance: InstanceId, idleAfter: Duration | 'never'): Duration | 'never' {
  if (!isReplica(instance)) return idleAfter
  return idleAfter === 'never' || toMs(idleAfter) > toMs(REPLICA_IDLE_AFTER) ? REPLICA_IDLE_AFTER : idleAfter
}

/** What is wrong with the rules, by field. */
export function faultsOfScale(
  scale: Scale,
  hasVolume: boolean,
): readonly { readonly field: string; readonly message: string }[] {
  const { min, max, concurrency } = scale
  const faults: { field: string; message: string }[] = []
  const fault = (field: string, message: string): void => void faults.push({ field, message })
  if (min > max) fault('min', `is ${min}, more than max, which is ${max}`)
  if (concurrency !== undefined && concurrency.soft > concurrency.hard)
    fault('concurrency', `the soft limit is ${concurrency.soft}, more than the hard one, which is ${concurrency.hard}`)
  if (hasVolume) {
    const why = 'the app has a volume, and a volume is mounted by one instance at a time'
    if (max > 1) fault('max', `is ${max}, but ${why}; 1 at most`)
    if (min > 1) fault('min', `is ${min}, but ${why}; 1 at most`)
    if (concurrency !== undefined) fault('concurrency', `${why}; limit its requests by shadow access --in-flight`)
  }
  return faults
}

/** The rules in words: `1 to 4 instances, …`. */
export function sayScale(scale: Scale = USUAL): string {
  const { min, max, cpu = SCALE_DEFAULTS.cpu } = scale
  const count = min === max ? `${max}` : `${min} to ${max}`
  const instances = `${count} ${max === 1 ? 'instance' : 'instances'}`
  if (max === 1 && scale.concurrency === undefined) return instances
  const { soft, hard } = concurrencyOf(scale)
  return `${instances}; another one above ${soft} requests in flight or ${cpu} % CPU each, never more than ${hard} requests each`
}
