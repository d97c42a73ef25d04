import type Docker from 'dockerode'
import { DockerAgent } from './docker-agent.ts'
import { failureOf, isCut, statusOf } from './failures.ts'

/** Calls to the Docker daemon, whose failures come as ours where they have a name. */
export type Engine = {
  readonly ask: <T>(call: (docker: Docker) => Promise<T>) => Promise<T>
  /** A call whose answer comes over time, until it ends or the signal aborts and its reason is thrown. */
  readonly stream: (call: Call, signal: AbortSignal) => AsyncGenerator<Buffer>
}

/** A path that takes a query ends in `?` (dockerode cuts its last character off). */
type Call = {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly options?: object
  /** The body. Such a call is not repeated, and an abort ends it while the body is sent. */
  readonly file?: NodeJS.ReadableStream | undefined
  /** For the registry that Docker is to ask. */
  readonly authconfig?: object | undefined
}
type Answer = AsyncIterable<Buffer> & { destroy(): void }

/** The Docker daemon behind a socket; nothing is connected or loaded before the first call. */
export function dockerEngine(socketPath: string): Engine {
  let client: Promise<Docker> | undefined

  async function ask<T>(call: (docker: Docker) => Promise<T>, repeats = true): Promise<T> {
    // dockerode takes 130 ms to load. No AbortSignal goes into its options: it inspects them whole at each call.
    client ??= import('dockerode').then(({ default: Client }) => {
      const options = { socketPath, agent: new DockerAgent() } // the library's types do not know its `agent`
      return new Client(options)
    })
    const docker = await client
    try {
      return await call(docker).catch(error => {
        // A cut connection is tried once more: every call of ours may be repeated.
        if (repeats && isCut(error)) return call(docker)
        throw error
      })
    } catch (error) {
      throw failureOf(error, socketPath)
    }
  }

  async function* stream(call: Call, signal: AbortSignal): AsyncGenerator<Buffer> {
    signal.throwIfAborted()
    const opened = Promise.withResolvers<Answer>()
    let answer: Answer | undefined
    // Docker may send nothing, not even a head, before it has output. The caller may cancel before that.
    const leave = (): void => {
      opened.reject(signal.reason)
      answer?.destroy()
    }
    signal.addEventListener('abort', leave, { once: true })
    const { file } = call
    ask(docker => dial(docker, call, file && signal), file === undefined).then(found => {
      answer = found
      opened.resolve(found)
      if (signal.aborted) found.destroy()
    }, opened.reject)
    try {
      yield* await opened.promise
    } catch (error) {
      throw signal.aborted ? signal.reason : failureOf(error, socketPath)
    } finally {
      signal.removeEventListener('abort', leave)
      answer?.destroy()
    }
    signal.throwIfAborted()
  }

  return { ask, stream }
}

function dial(
  docker: Docker,
  { method, path, options = {}, file, authconfig }: Call,
  abortSignal: AbortSignal | undefined,
): Promise<Answer> {
  const statusCodes = { 200: true, 404: 'no such container', 500: 'server error' }
  return new Promise((resolve, reject) => {
    const given = { method, path, options, authconfig, file, abortSignal, isStream: true, statusCodes }
    docker.modem.dial(given as Parameters<typeof docker.modem.dial>[0], (error, answer) =>
      error ? reject(error) : resolve(answer as Answer),
    )
  })
}

/** For `catch`: an answer of one of these statuses is no failure, and its value is undefined. */
export const unlessStatus =
  (...statuses: number[]) =>
  (error: unknown): undefined => {
    if (!statuses.includes(statusOf(error) ?? 0)) throw error
  }
