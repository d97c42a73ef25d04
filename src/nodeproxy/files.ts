import type { Cancellation } from '../lib/cancellation.ts'
import { ShadowError } from '../lib/errors.ts'
import type { Held, HoldRequest } from '../model/instance.ts'
import type { InstanceId } from '../model/instance-id.ts'
import type { Instance } from './instance.ts'
import type { Container, FileAt, Runtime } from './runtime/runtime.ts'

type Options = {
  readonly runtime: Pick<Runtime, 'statFile' | 'readFiles' | 'writeFiles'>
  readonly hold: (instance: InstanceId, request: HoldRequest, cancellation: Cancellation) => Held | Promise<Held>
  readonly instance: (id: InstanceId) => Instance | undefined
}
type Asked = { readonly instance: InstanceId; readonly path: string; readonly permit: string | undefined }

/** So many copies run at a time on one node. */
const MOST = 32

/** Files of apps, read and written in their containers. An app is woken for that, and held awake until the last byte. */
export class Files {
  readonly #options: Options
  #underWay = 0

  constructor(options: Options) {
    this.#options = options
  }

  stat(asked: Asked, signal: AbortSignal): Promise<FileAt | undefined> {
    return this.#held(asked, 'looks at', signal, (container, until) =>
      this.#options.runtime.statFile(container, asked.path, until),
    )
  }

  /** Gives the tar of a file or folder to `take`. Fails with `not-found` before `take` is called. */
  read(asked: Asked, signal: AbortSignal, take: (tar: AsyncIterable<Buffer>, until: AbortSignal) => Promise<void>) {
    return this.#held(asked, 'reads', signal, async (container, until) => {
      const tar = this.#options.runtime.readFiles(container, asked.path, until)[Symbol.asyncIterator]()
      const first = await tar.next()
      const all = async function* (): AsyncGenerator<Buffer> {
        if (first.done !== true) yield first.value
        yield* { [Symbol.asyncIterator]: () => tar }
      }
      await take(all(), until)
    })
  }

  write(asked: Asked, tar: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    return this.#held(asked, 'writes', signal, (container, until) =>
      this.#options.runtime.writeFiles(container, asked.path, tar, until),
    )
  }

  async #held<T>(
    { instance, path, permit }: Asked,
    verb: string,
    signal: AbortSignal,
    task: (container: Container, until: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#underWay >= MOST)
      throw new ShadowError('queue-full', `${MOST} copies of files run on this node already`, { retryAfterMs: 5_000 })
    this.#underWay += 1
    const stopped = new AbortController()
    try {
      const what = `shadow cp ${verb} ${path.slice(0, 200)}`
      using _held = await this.#options.hold(
        instance,
        { kind: 'request', what, bytes: 0, mayWake: true, permit },
        { signal },
      )
      const found = this.#options.instance(instance)
      const container = found?.running?.container
      if (found === undefined || container === undefined)
        throw new ShadowError('app-unreachable', `${instance} has ended just now`, { retryAfterMs: 1_000 })
      const until = AbortSignal.any([signal, stopped.signal])
      void watch(found, container, stopped, until)
      return await task(container, until)
    } finally {
      this.#underWay -= 1
      stopped.abort()
    }
  }
}

/** Ends the copy when the app stops all the same: its volume could not be unmounted while Docker reads it. */
async function watch(
  instance: Instance,
  { id }: Container,
  stopped: AbortController,
  until: AbortSignal,
): Promise<void> {
  try {
    for await (const _ of instance.follow(until))
      if (instance.running?.container.id !== id)
        return stopped.abort(new ShadowError('app-unreachable', `${instance.id} was stopped while files were copied`))
  } catch {
    // The copy has ended.
  }
}
