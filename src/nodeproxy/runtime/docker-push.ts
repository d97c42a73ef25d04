import { ShadowError } from '../../lib/errors.ts'
import type { PushTarget } from '../builds/image-builder.ts'
import { type Engine, unlessStatus } from './docker-engine.ts'
import { messageOf } from './failures.ts'
import { jsonLines } from './json-lines.ts'

/** Pushes an image of this machine; see `ImageBuilder`. */
export async function dockerPush(engine: Engine, image: string, to: PushTarget, signal: AbortSignal): Promise<void> {
  const { name, tag, credentials } = to
  await engine.ask(docker => docker.getImage(image).tag({ repo: name, tag }))
  try {
    const call = { method: 'POST', path: `/images/${name}/push?`, options: { tag }, authconfig: credentials } as const
    // The status is 200 by then: an error comes as a line.
    for await (const line of jsonLines(engine.stream(call, signal))) {
      const { error } = line as { error?: unknown }
      if (error !== undefined) throw new Error(String(error))
    }
  } catch (cause) {
    if (signal.aborted || cause instanceof ShadowError) throw cause
    throw new ShadowError('build-failed', `Docker cannot push it: ${messageOf(cause)}`, { cause })
  } finally {
    await engine.ask(docker => docker.getImage(`${name}:${tag}`).remove()).catch(unlessStatus(404, 409))
  }
}
