import { asShadowError } from '../../lib/errors.ts'
import { isSnapshotId, type SnapshotId, type VolumeId } from '../../model/names.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import type { Caller } from '../known-callers.ts'
import { nameFor } from '../sessions/names.ts'
import type { Forks } from '../snapshots/forks.ts'
import type { VolumeSnapshots } from '../snapshots/snapshots.ts'
import { fault } from './faults.ts'
import { idOf, type SandboxApp } from './sandbox-view.ts'
import type { Sandboxes } from './sandboxes.ts'

type Parts = {
  readonly sandboxes: Sandboxes
  readonly snapshots: Pick<VolumeSnapshots, 'take' | 'list' | 'remove'>
  readonly forks: Pick<Forks, 'volume' | 'discard'>
}
type New = Omit<Parameters<Sandboxes['create']>[0], 'template'>

const SNAPSHOT = /^([a-z2-7]{16}):([a-z0-9-]+)$/
const MOST_FORKS = 10

export type SandboxCopies = ReturnType<typeof sandboxCopies>

/** Snapshots of the volumes of sandboxes, and sandboxes that begin with what one has. A snapshot goes with its sandbox, and has no memory. */
export function sandboxCopies({ sandboxes, snapshots, forks }: Parts) {
  const volumeOf = ({ name, task: { volume } }: SandboxApp): VolumeId => {
    if (volume !== undefined) return volume.id
    throw fault('invalid_argument', `the sandbox ${name} has no volume, and so nothing that could be copied`)
  }
  const shown = (app: SandboxApp, { id, note }: Pick<Snapshot, 'id' | 'note'>) => ({
    snapshotID: `${idOf(app)}:${id}`,
    names: note === undefined ? [] : [note],
  })

  /** The sandbox and the snapshot that an id of ours names; undefined for any other text. */
  async function parts(text: string, caller: Caller): Promise<{ app: SandboxApp; snapshot: SnapshotId } | undefined> {
    const [, sandbox, snapshot = ''] = SNAPSHOT.exec(text) ?? []
    if (sandbox === undefined || !isSnapshotId(snapshot)) return undefined
    return { app: await sandboxes.own(sandbox, caller), snapshot }
  }

  /** A sandbox of the same template whose volume is a copy; nothing is left of one that could not be made. */
  async function copy(from: SandboxApp, snapshot: SnapshotId, asked: New, caller: Caller, signal: AbortSignal) {
    const { template } = from.session
    const name = nameFor(template, undefined)
    await forks.volume(volumeOf(from), { name, snapshot, by: caller.name }, signal)
    try {
      return await sandboxes.create({ ...asked, template, name }, caller, signal)
    } catch (error) {
      await forks.discard(name as string as VolumeId)
      throw error
    }
  }

  return {
    parts,
    copy,

    async snapshot(id: string, name: string | undefined, caller: Caller, signal: AbortSignal) {
      const app = await sandboxes.own(id, caller)
      const volume = volumeOf(app)
      if (name !== undefined && !isSnapshotId(name))
        throw fault('invalid_argument', `"${name.slice(0, 100)}" is no name for a snapshot: use a-z, 0-9 and -`)
      const asked = { by: caller.name, ...(name !== undefined && { name, note: name }) }
      return shown(app, await snapshots.take(volume, asked, signal))
    },

    /** Those of one sandbox, or of all that are the caller's. */
    async list(id: string | undefined, caller: Caller) {
      const of = id === undefined ? sandboxes.list(caller) : [await sandboxes.own(id, caller)]
      const found: { snapshotID: string; names: readonly string[] }[] = []
      for (const app of of)
        if (app.task.volume !== undefined)
          for (const one of await snapshots.list(app.task.volume.id)) found.push(shown(app, one))
      return found
    },

    async remove(text: string, caller: Caller): Promise<void> {
      const found = await parts(text, caller)
      if (found === undefined) throw fault('not_found', `no snapshot has the id ${text.slice(0, 100)}`)
      await snapshots.remove(volumeOf(found.app), found.snapshot, { dryRun: false })
    },

    /** Makes sandboxes with the files that this one has now; each one is made, or says why not. */
    async fork(id: string, count: number, timeoutMs: number, caller: Caller, signal: AbortSignal) {
      if (count > MOST_FORKS) throw fault('invalid_argument', `a call makes ${MOST_FORKS} forks at most`)
      const app = await sandboxes.own(id, caller)
      const volume = volumeOf(app)
      const taken = await snapshots.take(volume, { by: caller.name, reason: 'fork' }, signal)
      const { metadata, atTimeout } = app.session.sandbox
      const results: object[] = []
      try {
        for (let made = 0; made < count; made++)
          results.push(
            await copy(app, taken.id, { env: ownEnv(app), metadata, timeoutMs, atTimeout }, caller, signal).then(
              sandbox => ({ sandbox }),
              error => {
                signal.throwIfAborted()
                const { status, message } = asShadowError(error)
                return { error: { code: status, message } }
              },
            ),
          )
      } finally {
        await snapshots.remove(volume, taken.id, { dryRun: false }).catch(() => undefined) // the next prune takes it
      }
      return results
    },
  }
}

/** Its variables, as far as a new sandbox may be given them; the others are those of the template. */
const ownEnv = ({ task: { env } }: SandboxApp): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(env).filter(([name]) => /^[A-Za-z_][A-Za-z0-9_]{0,199}$/.test(name)))
