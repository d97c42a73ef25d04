import { isDeepStrictEqual } from 'node:util'
import type { Definition } from '../api/schemas.ts'
import type { App } from '../model/app.ts'
import { type Hostname, hostname } from '../model/hostname.ts'
import { type AppName, volumeId } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'

/** The domains that the definition asks for; without any it is the name before the master's apps domain. */
export const domainsOf = (name: AppName, definition: Definition, appsDomain: Hostname): readonly Hostname[] =>
  definition.domains === undefined ? [hostname(`${name}.${appsDomain}`)] : [...new Set(definition.domains)]

/** The task definition that comes of what a person said. */
export function taskOf(name: AppName, revision: number, definition: Definition, createdAt: string): TaskDefinition {
  const { domains: _, volume, ...rest } = definition
  return {
    ...rest,
    app: name,
    revision,
    createdAt,
    ...(volume !== undefined && { volume: { id: volumeId(name), ...volume } }),
  }
}

/** What a person would say to get the app as it is now: what a patch is merged into. */
export function definitionOf({ domains, task }: App): object {
  const { app: _app, revision: _revision, createdAt: _createdAt, volume, ...rest } = task
  return { domains, ...rest, ...(volume !== undefined && { volume: { size: volume.size, path: volume.path } }) }
}

/** Whether the two say the same of how to run the app. */
export const sameDefinition = (one: App, other: App): boolean =>
  isDeepStrictEqual(JSON.parse(JSON.stringify(definitionOf(one))), JSON.parse(JSON.stringify(definitionOf(other))))
