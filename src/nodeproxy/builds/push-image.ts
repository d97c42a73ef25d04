import type { Clock } from '../../lib/clock.ts'
import { ShadowError } from '../../lib/errors.ts'
import type { AppName } from '../../model/names.ts'
import { sayMs } from '../../model/quantities.ts'
import type { PushRegistry } from '../images/push-registry.ts'
import type { ImageBuilder } from './image-builder.ts'

/** Where Docker can push an image. */
export type Pushes = Pick<PushRegistry, 'open'>
type Parts = {
  readonly builder: Pick<ImageBuilder, 'push'>
  readonly pushes: Pushes
  readonly clock: Pick<Clock, 'now'>
  readonly onLine: (line: string) => void
}
type Built = { readonly app: AppName; readonly name: string; readonly permit: string }

/** Pushes what was built to the masters, so that every node can run it. Fails if the masters do not take it: such a build is of no use. */
export async function pushImage(parts: Parts, { app, name, permit }: Built, signal: AbortSignal): Promise<void> {
  const { builder, pushes, clock, onLine } = parts
  const from = clock.now()
  using opened = await pushes.open(app, permit)
  try {
    const to = { name: opened.name, tag: name.slice(name.lastIndexOf(':') + 1), credentials: opened.credentials }
    await builder.push(name, to, signal)
  } catch (error) {
    signal.throwIfAborted()
    const why = opened.failure ?? error
    const { code, message } = why instanceof ShadowError ? why : new ShadowError('build-failed', String(why))
    throw new ShadowError(code, `the image was built, and the masters did not take it: ${message}`, {
      cause: why,
      hint: 'deploy again: what was built is found again',
    })
  }
  onLine(`the masters have ${name}, in ${sayMs(Math.round(clock.now() - from))}`)
}
