import { ShadowError } from '../lib/errors.ts'
import { type AppName, isAppName, type SnapshotId, snapshotId } from './names.ts'

/** What a new volume is a copy of: `app:NAME`, the volume of an app as it is then, or `snapshot:NAME/ID`, a snapshot of it. */
export type VolumeSource = string & { readonly brand: 'VolumeSource' }

/** Parser; fails with `bad-input`. */
export function volumeSource(text: string): VolumeSource {
  partsOf(text)
  return text as VolumeSource
}

/** The app whose volume is copied, and the snapshot of it; without one it is copied as it is. */
export const sourceParts = (source: VolumeSource): Source => partsOf(source)

type Source = { readonly app: AppName; readonly snapshot?: SnapshotId | undefined }

function partsOf(text: string): Source {
  const [, kind, app = '', id] = /^(app|snapshot):([^/]+)(?:\/(.+))?$/.exec(text) ?? []
  if (isAppName(app) && kind === 'app' && id === undefined) return { app }
  if (isAppName(app) && kind === 'snapshot' && id !== undefined) return { app, snapshot: snapshotId(id) }
  throw new ShadowError('bad-input', `"${text.slice(0, 200)}" is neither app:NAME nor snapshot:NAME/ID`)
}
