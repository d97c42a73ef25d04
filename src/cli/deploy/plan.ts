import type { App } from '../../model/app.ts'
import { changesBetween } from '../../model/release-changes.ts'
import { sayChanges } from '../../model/say-changes.ts'
import type { TaskDefinition } from '../../model/task.ts'
import type { Manifest } from '../manifest/manifest.ts'

type Task = TaskDefinition & { source?: unknown }
type Plan = { readonly app: string; readonly revision: number; readonly says: readonly string[] }

/** What a deploy would do. Values of variables are not compared: they are secrets, and only their digests come from the master. */
export async function planOf(given: { name: string; manifest: Manifest; before: App | undefined }): Promise<Plan> {
  const { name, manifest, before } = given
  const { from, definition } = manifest
  const what =
    from.kind === 'image'
      ? `image ${from.image}`
      : from.kind === 'dockerfile'
        ? `an image built from ${from.dockerfile}`
        : `the source in ${from.folder}`
  if (before === undefined) return { app: name, revision: 1, says: [`${name} would be registered, with ${what}`] }
  const { ReplaceSchema } = await import('../../api/schemas.ts')
  const image = from.kind === 'image' ? from.image : before.task.image
  const { domains: _, ...next } = ReplaceSchema.parse({ ...definition, image })
  const { pinned: _1, portFrom: _2, secretsVersion: _3, source: _4, ...had } = before.task as Task
  const volume = had.volume && { ...had.volume, id: undefined }
  const env = Object.fromEntries(Object.keys(next.env).map(key => [key, had.env[key] ?? '']))
  const port = next.port ?? had.port
  const asked = { ...next, env, port } as unknown as TaskDefinition
  const now = { ...had, volume } as unknown as TaskDefinition
  const changes = sayChanges(changesBetween({ task: now, secrets: {} }, { task: asked, secrets: {} }))
  return {
    app: name,
    revision: before.task.revision + 1,
    says: [
      `${name} is at revision ${before.task.revision}; the next one would run ${what}`,
      changes === '-' ? 'its definition stays as it is, except for values of variables' : `changes: ${changes}`,
    ],
  }
}
