import { z } from 'zod'
import { AppNameSchema, InstanceIdSchema, VolumeIdSchema } from './schemas.ts'

/** One call: its input, its answer, and which roles may call it. `answer: "stream"` is NDJSON or server-sent events, not JSON. */
export type Call = {
  readonly says: string
  readonly params?: z.ZodObject
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  /** The media type of a body that is not JSON: of the request if the answer is `nothing`, else of the answer. */
  readonly content?: string
  /** The media type of a body that is not JSON, of a call that answers something. */
  readonly sends?: string
  readonly answer: z.ZodType | 'stream' | 'nothing'
  readonly status?: number
  /** The request and its answer are read and written at the same time, for as long as a person wants. */
  readonly isSession?: true
  readonly may: readonly Role[] | 'anyone'
}

/** `owner`: who has some of the apps; see `owner-rules.ts`. */
export const ROLES = ['admin', 'node', 'proxy', 'owner'] as const
export type Role = (typeof ROLES)[number]

export const admin = ['admin'] as const

export const appParams = z.strictObject({ app: AppNameSchema })
export const instanceParams = z.strictObject({ instance: InstanceIdSchema })
export const frontParams = z.strictObject({ front: z.string().regex(/^[\w.-]{1,100}$/) })
export const volumeParams = z.strictObject({ volume: VolumeIdSchema })
export const flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform(value => value === 'true')
/** Whether the answer has the values of environments, or digests in their place: digests are for answers that are printed or logged. */
export const shown = { env: z.enum(['values', 'digests']).default('values') }

export type Calls = Readonly<Record<string, Call>>
type In<T> = T extends z.ZodType ? z.input<T> : never
type Out<T> = T extends z.ZodType ? z.output<T> : undefined

type GivenInput<R> = (R extends { params: infer P } ? { params: In<P> } : { params?: undefined }) &
  (R extends { query: infer Q } ? { query?: In<Q> } : { query?: undefined }) &
  (R extends { body: infer B } ? { body: In<B> } : { body?: undefined })

type ParsedInput<R> = (R extends { params: infer P } ? { params: Out<P> } : unknown) &
  (R extends { query: infer Q } ? { query: Out<Q> } : unknown) &
  (R extends { body: infer B } ? { body: Out<B> } : unknown)

// Of a union of calls, it is the union of their inputs. Without the condition the compiler would join all parameters, queries and bodies of all
// calls with one another.
/** The input of a call, as its caller gives it. */
export type CallInput<R> = R extends unknown ? GivenInput<R> : never

/** The parsed input, as its handler gets it. */
export type HandlerInput<R> = R extends unknown ? ParsedInput<R> : never

/** The answer of a call. */
export type CallAnswer<R> = R extends { answer: infer A } ? Out<A> : never
