import { isDeepStrictEqual } from 'node:util'
import type { Definition } from '../api/schemas.ts'
import { type Fault, ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { type Hostname, hostname } from '../model/hostname.ts'
import { type AppName, volumeId } from '../model/names.ts'
import { TASK_DEFAULTS, type TaskDefinition, type TaskVolume } from '../model/task.ts'

/** The domains of the definition. A definition without domains gets `<app name>.<apps domain of the master>`. */
export const domainsOf = (name: AppName, definition: Definition, appsDomain: Hostname): readonly Hostname[] =>
  definition.domains === undefined ? [hostname(`${name}.${appsDomain}`)] : [...new Set(definition.domains)]

/** The task definition made from a person's definition. */
export function taskOf(name: AppName, revision: number, definition: Definition, createdAt: string): TaskDefinition {
  const { domains: _, volume, port, uses, wire, ...rest } = definition
  return {
    ...rest,
    ...(uses !== undefined && uses.length > 0 && { uses }),
    ...(wire !== undefined && wire.length > 0 && { wire }),
    port: port ?? TASK_DEFAULTS.port,
    ...(port === undefined && { portFrom: 'image' as const }),
    app: name,
    revision,
    createdAt,
    ...(volume !== undefined && { volume: volumeOf(name, volume) }),
  }
}

// The usual driver is left out, so that naming it changes nothing.
function volumeOf(name: AppName, { driver, ...rest }: NonNullable<Definition['volume']>): TaskVolume {
  return { id: volumeId(name), ...rest, ...(driver !== TASK_DEFAULTS.volumeDriver && driver && { driver }) }
}

/** The definition that would produce the app as it is now: a patch is merged into it. */
export function definitionOf({ domains, task }: Pick<App, 'task'> & Partial<Pick<App, 'domains'>>): object {
  const {
    app: _app,
    revision: _revision,
    createdAt: _createdAt,
    pinned: _pinned,
    secretsVersion: _secretsVersion,
    made: _made,
    volume,
    port,
    portFrom,
    ...rest
  } = task
  return {
    ...(domains !== undefined && { domains }),
    ...rest,
    ...(portFrom === undefined && { port }),
    ...(volume !== undefined && {
      volume: { size: volume.size, path: volume.path, ...(volume.driver && { driver: volume.driver }) },
    }),
  }
}

/** Whether both apps are run in the same way. */
export const sameDefinition = (one: App, other: App): boolean =>
  isDeepStrictEqual(JSON.parse(JSON.stringify(definitionOf(one))), JSON.parse(JSON.stringify(definitionOf(other))))

/** Fails with `not-found` if the patch removes variables that the app does not have, and names all of them. */
export function mustHave({ name, task }: App, patch: Readonly<Record<string, unknown>>): void {
  const env = typeof patch['env'] === 'object' ? { ...patch['env'] } : {}
  const absent = Object.entries(env)
    .filter(([variable, value]) => value === null && !Object.hasOwn(task.env, variable))
    .map(([variable]): Fault => ({ field: `env.${variable}`, message: `it has no variable ${variable}` }))
  if (absent.length === 0) return
  throw new ShadowError('not-found', `${name} has not what is to be taken away; nothing was changed`, {
    faults: absent,
  })
}
