import type { BuildQuery } from '../../api/build-schemas.ts'
import type { Build } from '../../api/manifest-schema.ts'
import { fromProblem, ShadowError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/http/api/call.ts'
import type { BuildEvent } from '../../model/build.ts'
import { sayBytes } from '../../model/quantities.ts'
import type { Pack } from '../pack/pack.ts'
import type { Parts } from './parts.ts'
import type { Stages } from './stages.ts'

/** Sends the context to the node of the app, which builds the image; shows the log as it comes. Returns the name of the image. */
export async function buildOnNode(parts: Parts, pack: Pack, dockerfile: string, isBuildkit = false): Promise<string> {
  const { name, manifest, master, stages } = parts
  return stages.run(
    'building',
    async () => {
      const answer = await master.raw('buildImage', {
        params: { app: name },
        query: queryOf(manifest.build, dockerfile, isBuildkit),
        content: counted(pack, stages),
        signal: new AbortController().signal, // the node has the deadline
      })
      return imageOf(answer, stages)
    },
    image => `built ${image}`,
  )
}

/** Sends an image that `docker save` writes. Returns its name on the node. */
export const sendImage = async ({ name, master, stages }: Parts, content: AsyncIterable<Uint8Array>): Promise<string> =>
  imageOf(
    await master.raw('loadImage', { params: { app: name }, content, signal: new AbortController().signal }),
    stages,
  )

const queryOf = (
  { target, args, memory, cpus, within }: Build,
  dockerfile: string,
  isBuildkit: boolean,
): Record<keyof BuildQuery, never> =>
  ({
    dockerfile,
    ...(isBuildkit && { buildkit: 'true' }),
    target,
    args: args && JSON.stringify(args),
    memory,
    cpus,
    within,
  }) as never

async function* counted(pack: Pack, stages: Stages): AsyncGenerator<Uint8Array> {
  let sent = 0
  for await (const chunk of pack.content()) {
    yield chunk
    sent += chunk.length
    stages.progress(sent < pack.bytes ? `sending ${sayBytes(sent)} of ${sayBytes(pack.bytes)}` : 'building')
  }
}

async function imageOf({ body }: Answer, stages: Stages): Promise<string> {
  let rest = ''
  for await (const chunk of body.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') continue
      const event = JSON.parse(line) as BuildEvent
      if ('line' in event) stages.line(event.line)
      else if ('image' in event) return event.image.name
      else throw fromProblem(event.problem) ?? new ShadowError('internal', `the build failed: ${line.slice(0, 500)}`)
    }
  }
  throw new ShadowError('node-unreachable', 'the build was cut off: its node or its master has ended', {
    hint: 'deploy again; steps that were done are not done again',
  })
}
