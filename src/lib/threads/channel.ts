import type { Cancellation } from '../cancellation.ts'
import { asShadowError, fromProblem, type Problem, ShadowError } from '../errors.ts'

/**
 * The methods that one side offers to the other, by name. Each takes one input and may return a promise. `cancellation` is the one of the
 * call.
 */
export type Methods = Readonly<Record<string, (input: never, cancellation: Cancellation) => unknown>>

type Input<D extends Methods, N extends keyof D> = Parameters<D[N]>[0]
type Output<D extends Methods, N extends keyof D> = Awaited<ReturnType<D[N]>>

/** The other side, by its methods. */
export interface Other<D extends Methods> {
  /**
   * Rejects as the method did. If the signal aborts first, it rejects with the signal's reason and cancels the call on the other side. An
   * answer
   * that was already on its way then goes to `late`.
   */
  call<N extends keyof D & string>(
    method: N,
    input: Input<D, N>,
    cancellation?: Cancellation,
    late?: (answer: Output<D, N>) => void,
  ): Promise<Output<D, N>>
  /** Calls without an answer; a failure is lost. */
  notify<N extends keyof D & string>(method: N, input: Input<D, N>): void
}

type Message =
  | { readonly call: number; readonly method: string; readonly input: unknown }
  | { readonly notify: string; readonly input: unknown }
  | { readonly cancel: number }
  | { readonly answer: number; readonly output: unknown }
  | { readonly answer: number; readonly problem: Problem }

type Waiting = { resolve(output: unknown): void; reject(reason: unknown): void }
type Handler = (input: unknown, cancellation: Cancellation) => unknown
type Port = { postMessage(message: unknown): void; on(event: 'message', listener: (message: Message) => void): unknown }

const ENDED = (): ShadowError =>
  new ShadowError('shutting-down', 'the thread that was asked has ended', { retryAfterMs: 1_000 })

/** Calls between two threads in both directions, in order. A ShadowError arrives as it was; other failures arrive as `internal`. */
export class Channel implements Disposable {
  readonly #port: Port
  readonly #methods = new Map<string, Handler>()
  readonly #waiting = new Map<number, Waiting>()
  readonly #served = new Map<number, AbortController>()
  #last = 0
  #isOver = false

  constructor(port: Port) {
    this.#port = port
    port.on('message', (message: Message) => this.#take(message))
  }

  /** Serves these methods to the other side. A call that arrives before this fails. */
  serve<D extends Methods>(methods: D): void {
    for (const [name, method] of Object.entries(methods)) this.#methods.set(name, method as Handler)
  }

  other<D extends Methods>(): Other<D> {
    return {
      call: (method, input, cancellation, late) =>
        this.#call(method, input, cancellation, late as (output: unknown) => void) as never,
      notify: (method, input) => this.#post({ notify: method, input }),
    }
  }

  /** Called when the other side has ended: calls to it fail, and its own calls are cancelled. */
  [Symbol.dispose](): void {
    this.#isOver = true
    for (const { reject } of this.#waiting.values()) reject(ENDED())
    this.#waiting.clear()
    for (const controller of this.#served.values()) controller.abort(ENDED())
    this.#served.clear()
  }

  #call(
    method: string,
    input: unknown,
    cancellation?: Cancellation,
    late?: (output: unknown) => void,
  ): Promise<unknown> {
    if (this.#isOver) return Promise.reject(ENDED())
    const call = ++this.#last
    return new Promise((resolve, reject) => {
      const signal = cancellation?.signal
      const cancel = (): void => {
        this.#waiting.set(call, { resolve: output => late?.(output), reject: () => undefined })
        this.#post({ cancel: call })
        reject(signal?.reason)
      }
      if (signal?.aborted) return reject(signal.reason)
      signal?.addEventListener('abort', cancel, { once: true })
      const done = (): void => signal?.removeEventListener('abort', cancel)
      this.#waiting.set(call, {
        resolve: output => {
          done()
          resolve(output)
        },
        reject: reason => {
          done()
          reject(reason)
        },
      })
      this.#post({ call, method, input })
    })
  }

  #post(message: Message): void {
    if (!this.#isOver) this.#port.postMessage(message)
  }

  #take(message: Message): void {
    if (this.#isOver) return
    if ('call' in message) void this.#do(message.call, message.method, message.input)
    else if ('notify' in message) void this.#do(undefined, message.notify, message.input)
    else if ('cancel' in message)
      this.#served.get(message.cancel)?.abort(new ShadowError('client-gone', 'the caller cancelled the call'))
    else this.#answered(message)
  }

  #answered(message: Extract<Message, { answer: number }>): void {
    const waiting = this.#waiting.get(message.answer)
    this.#waiting.delete(message.answer)
    if ('problem' in message) waiting?.reject(fromProblem(message.problem) ?? asShadowError(message.problem))
    else waiting?.resolve(message.output)
  }

  async #do(call: number | undefined, method: string, input: unknown): Promise<void> {
    const handler = this.#methods.get(method)
    const controller = new AbortController()
    if (call !== undefined) this.#served.set(call, controller)
    try {
      if (handler === undefined) throw new ShadowError('internal', `this thread does not know "${method}"`)
      const output = await handler(input, controller)
      if (call !== undefined) this.#post({ answer: call, output })
    } catch (error) {
      if (call !== undefined) this.#post({ answer: call, problem: asShadowError(error).toProblem() })
    } finally {
      if (call !== undefined) this.#served.delete(call)
    }
  }
}
