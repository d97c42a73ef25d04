import { parseValue } from '../../api/parse-call.ts'
import { ReplaceSchema } from '../../api/schemas.ts'
import { ShadowError } from '../../lib/errors.ts'
import { mergePatch } from '../../lib/merge-patch.ts'
import type { App } from '../../model/app.ts'
import type { Phase } from '../../model/instance.ts'
import type { AppName, VolumeId } from '../../model/names.ts'
import { type Size, toBytes } from '../../model/quantities.ts'
import { definitionOf } from '../definition.ts'
import type { Relay } from '../relay.ts'
import type { NextRelease } from '../releases/next.ts'

type Parts = { readonly next: NextRelease; readonly relay: Pick<Relay, 'atVolume'> }
type Grown = { app: AppName; size: Size; phase: Phase | null; sizeBytes?: number | undefined }
export type VolumeGrowth = ReturnType<typeof volumeGrowth>

/** Makes volumes larger: by a revision, which the node of an app that is awake applies while the app runs, where it can. */
export function volumeGrowth({ next, relay }: Parts) {
  return async (volume: VolumeId, size: Size, signal: AbortSignal): Promise<Grown> => {
    const name = volume as string as AppName
    const grown = (now: App) => {
      const had = now.task.volume
      if (had === undefined)
        throw new ShadowError('not-found', `${name} has no volume`, { hint: `shadow update ${name} --volume ${size}` })
      if (toBytes(size) < toBytes(had.size)) throw cannotShrink(name, had.size, size)
      return parseValue(ReplaceSchema, mergePatch(definitionOf(now), { volume: { size } }))
    }
    const plan = (now: App) =>
      ({ definition: grown(now), image: 'kept', secrets: { changes: {} }, made: { by: 'update' } }) as const
    const { app } = await next(name, plan, { expected: undefined, signal })
    // The revision counts from here on. A node that does not answer applies it when it hears of it.
    const applied = await relay
      .atVolume(app)
      .then(({ client, headers }) =>
        client.call('growVolume', { params: { volume }, body: { app: name }, headers, signal }),
      )
      .catch(() => undefined)
    return {
      app: name,
      size,
      phase: applied?.phase ?? null,
      ...(applied?.sizeBytes && { sizeBytes: applied.sizeBytes }),
    }
  }
}

function cannotShrink(name: AppName, had: Size, size: Size): ShadowError {
  const message = `the volume of ${name} has ${had}, and cannot shrink to ${size}`
  return new ShadowError('bad-input', message, {
    faults: [{ field: 'size', message }],
    hint: `ask for ${had} or more`,
  })
}
