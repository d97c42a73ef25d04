import type { Definition } from '../../api/schemas.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import type { AppName } from '../../model/names.ts'
import type { Made } from '../../model/release.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { type AppWrites, attempts, type Expected, type Found } from '../app-writes.ts'
import type { ChangeStream } from '../change-stream.ts'
import { definitionOf } from '../definition.ts'
import type { Digests } from '../digests.ts'
import type { Records } from '../records.ts'
import type { NextRelease } from './next.ts'
import { changedSecrets, differentNames, mustBeFew, mustHaveSecrets, realChanges } from './secret-changes.ts'
import type { SecretChanges, SecretDocuments } from './secret-documents.ts'

type Parts = {
  writes: AppWrites
  records: Records
  secrets: SecretDocuments
  digests: Digests
  changes: ChangeStream
  next: NextRelease
}

type Options = {
  /** Removing a secret that is not there is an error. */
  readonly strict: boolean
  readonly made: Omit<Made, 'by' | 'to'>
  readonly expected: Expected
  readonly signal: AbortSignal
}

export type AppSecrets = ReturnType<typeof appSecrets>

/** The secrets of apps: who changes them, and who gets their values. */
export function appSecrets({ writes, records, secrets, digests, changes, next }: Parts) {
  /** The secrets that the next release would have without more changes. */
  const upcoming = async ({ name, task, staged }: App) => {
    const now = await secrets.read(name, task.secretsVersion)
    const pending = await secrets.readStaged(name, staged)
    return { now, pending, merged: changedSecrets(now, pending, task.revision + 1) }
  }

  /** Writes the app with another document of staged changes. This makes no release, and restarts nothing. */
  const writeStaged = async (before: Found, staged: number | undefined): Promise<Found> => {
    const app: App = { ...before.app, staged, updatedAt: writes.after(before.app.updatedAt) }
    const etag = await records.write(app, { state: 'live', ...before })
    changes.changed(app)
    return { app, etag }
  }

  return {
    /** The task as the node of the app gets it: with the values of its secrets among the variables, or beside what adds them to requests. */
    async forNode(task: TaskDefinition): Promise<TaskDefinition> {
      const { made: _, wire, ...rest } = task
      const values = valuesOf(await secrets.read(task.app, task.secretsVersion))
      if (wire === undefined) return { ...rest, env: { ...task.env, ...values } }
      // A secret that the node adds to requests is no variable.
      const variables = Object.entries(values).filter(([name]) => !wire.some(({ secret }) => secret === name))
      return {
        ...rest,
        env: { ...task.env, ...Object.fromEntries(variables) },
        wire: wire.map(one => ({ ...one, value: values[one.secret] })),
      }
    },

    /** The values, for an export. */
    values: async ({ name, task }: App): Promise<Readonly<Record<string, string>>> =>
      valuesOf(await secrets.read(name, task.secretsVersion)),

    async list(app: App) {
      const { now, pending } = await upcoming(app)
      const has = digests.of(now)
      return {
        version: app.task.secretsVersion ?? null,
        items: Object.entries(now)
          .map(([name, { since }]) => ({ name, digest: has[name] ?? '', since }))
          .sort((a, b) => (a.name < b.name ? -1 : 1)),
        staged: Object.entries(pending)
          .map(([name, value]) => ({ name, digest: value === null ? null : digests.digest(value) }))
          .sort((a, b) => (a.name < b.name ? -1 : 1)),
      }
    },

    /** Makes a release with the changes and with what is staged. Changes that change nothing make none. */
    async change(name: AppName, patch: SecretChanges, { strict, made, ...options }: Options) {
      mustBeValues(patch)
      let changed: readonly string[] = []
      const { app } = await next(
        name,
        async now => {
          const { now: before, merged } = await upcoming(now)
          if (strict) mustHaveSecrets(name, merged, patch)
          changed = differentNames(before, changedSecrets(merged, patch, now.task.revision + 1))
          return {
            definition: definitionOf(now) as Definition,
            image: 'kept',
            secrets: { changes: patch },
            made: { ...made, by: 'secrets' },
          }
        },
        options,
      )
      return { app, changed: [...changed] }
    },

    /** Keeps the changes for the next release, on top of what is staged. */
    stage(name: AppName, patch: SecretChanges, { strict, expected }: Omit<Options, 'made' | 'signal'>) {
      mustBeValues(patch)
      return attempts(expected, async mustMatch => {
        const before = await writes.find(name)
        mustMatch(before)
        const { now, pending, merged } = await upcoming(before.app)
        if (strict) mustHaveSecrets(name, merged, patch)
        const after = changedSecrets(merged, patch, before.app.task.revision + 1)
        mustBeFew(name, after)
        const changed = [...differentNames(merged, after)]
        if (changed.length === 0) return { app: before.app, changed }
        const all = realChanges(now, { ...pending, ...patch })
        if (Object.keys(all).length === 0) return { app: (await writeStaged(before, undefined)).app, changed }
        const { app } = await secrets.staging(name, all, version => writeStaged(before, version))
        return { app, changed }
      })
    },

    /** Forgets what is staged; returns the names. */
    discard: (name: AppName, expected: Expected): Promise<readonly string[]> =>
      attempts(expected, async mustMatch => {
        const before = await writes.find(name)
        mustMatch(before)
        const { staged } = before.app
        if (staged === undefined) return []
        const names = Object.keys(await secrets.readStaged(name, staged)).sort()
        await writeStaged(before, undefined)
        return names
      }),
  }

  /** Fails with `bad-input` if a value is a digest: somebody has sent back what a list shows. */
  function mustBeValues(patch: SecretChanges): void {
    const faults = Object.entries(patch)
      .filter(([, value]) => value !== null && digests.isDigest(value))
      .map(([name]) => ({ field: name, message: 'is a digest; give the value itself' }))
    if (faults.length > 0) throw new ShadowError('bad-input', 'a digest is no value', { faults })
  }
}

const valuesOf = (all: Readonly<Record<string, { value: string }>>): Record<string, string> =>
  Object.fromEntries(Object.entries(all).map(([name, { value }]) => [name, value]))
