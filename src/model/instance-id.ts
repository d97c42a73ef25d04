import { ShadowError } from '../lib/errors.ts'
import { type AppName, appName, faultOfLabel } from './names.ts'

/**
 * The id of an instance: `app` for the plain one, `app.slot` for one of several. Only whoever makes instances knows what a slot
 * means. Names of apps have no dots, so an id has one reading.
 */
export type InstanceId = string & { readonly brand: 'InstanceId' }

const LONGEST_SLOT = 32

/** The id of the app's instance in this slot; without a slot, of its plain instance. Fails with `bad-input` for a slot that is no DNS label of up to 32 characters. */
export function instanceId(app: AppName, slot?: string): InstanceId {
  if (slot === undefined) return app as string as InstanceId
  const fault = faultOfLabel(slot, LONGEST_SLOT)
  if (fault !== undefined)
    throw new ShadowError('bad-input', `slot "${slot.slice(0, 100)}" of an instance of ${app}: ${fault}`)
  return `${app}.${slot}` as InstanceId
}

/**
 * Names one of several containers of an instance: the id of the instance for the usual one, `app_r12` for the container of release 12 that was
 * started beside it. No id of an instance has a `_`, so the two are never the same.
 */
export type RunKey = InstanceId | (string & { readonly brand: 'RunKey' })

/** The key of the container that runs this revision beside another container of the instance. */
export const besideKey = (instance: InstanceId, revision: number): RunKey => `${instance}_r${revision}` as RunKey

/** Whether the text can be a key of a container. */
export const isRunKey = (text: string): text is RunKey => isInstanceId(text.replace(/_r\d+$/, ''))

/** Parses the id of an instance; fails with `bad-input` that shows where it is wrong. */
export function parseInstanceId(text: string): InstanceId {
  const dot = text.indexOf('.')
  return dot < 0 ? instanceId(appName(text)) : instanceId(appName(text.slice(0, dot)), text.slice(dot + 1))
}

/** Whether the text can be the id of an instance. */
export function isInstanceId(text: string): text is InstanceId {
  const dot = text.indexOf('.')
  if (dot < 0) return faultOfLabel(text) === undefined
  return faultOfLabel(text.slice(0, dot)) === undefined && faultOfLabel(text.slice(dot + 1), LONGEST_SLOT) === undefined
}

/** The app that the instance is a copy of. */
export function appOf(instance: InstanceId): AppName {
  const dot = instance.indexOf('.')
  return (dot < 0 ? instance : instance.slice(0, dot)) as string as AppName
}

/** Whether it is the app's plain instance: the one that has the app's volume. */
export const isPlain = (instance: InstanceId): boolean => !instance.includes('.')

/** Fields of a log line about the instance; `instance` is left out for the plain one. */
export const logFields = (instance: InstanceId): { readonly app: AppName; readonly instance?: InstanceId } => ({
  app: appOf(instance),
  ...(!isPlain(instance) && { instance }),
})
