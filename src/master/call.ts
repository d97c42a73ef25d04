import type { IncomingMessage, ServerResponse } from 'node:http'
import type { z } from 'zod'
import type { CallAnswer, HandlerInput } from '../api/call-shape.ts'
import type { masterCalls } from '../api/master-calls.ts'
import type { Caller } from './known-callers.ts'

/** What a handler gets of the call besides its input. */
export type Call = {
  readonly caller: Caller | undefined
  readonly ifMatch: readonly string[] | undefined
  /** Versions that the caller has. */
  readonly ifNoneMatch: readonly string[] | undefined
  /** The permit that a node shows for an app that was placed on that node. */
  readonly permit: string | undefined
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal
}

type Calls = typeof masterCalls
type Answered<R> = R extends { answer: z.ZodType } ? Promise<{ value: CallAnswer<R>; etag?: string }> : Promise<void>
/** One handler for each call of the API. Handlers of streams write their answer themselves. */
export type Handlers = { [K in keyof Calls]: (input: HandlerInput<Calls[K]>, call: Call) => Answered<Calls[K]> }
