import type { EC2Client } from '@aws-sdk/client-ec2'
import { asEc2Error, isEc2 } from './failures.ts'

type Options = {
  readonly region: string
  /** Another endpoint than that of the region, for tests. */
  readonly endpoint?: string | undefined
  /** How often a call that is throttled or gets no answer is sent. */
  readonly attempts?: number
  /**
   * Called once a call is signed, before it is sent, for each attempt; it throws to call the call off. A signed call is good for
   * SIGNATURE_LASTS, so what this allows reaches EC2 by then or never.
   */
  readonly maySend?: ((command: string) => void) | undefined
}

// The client makes its own attempts, ever later, when it is throttled or gets no answer. Nothing else retries.
const ATTEMPTS = 6
const CONNECTS_WITHIN_MS = 3_000
const ANSWERS_WITHIN_MS = 15_000

/** EC2 refuses a call that arrives later than this after its signature (RequestExpired), in milliseconds. */
export const SIGNATURE_LASTS = 15 * 60_000

/** EC2 by its SDK, loaded now. The SDK takes credentials from where it always does: environment, files, the role of the instance. */
export async function openEc2({ region, endpoint, attempts = ATTEMPTS, maySend }: Options) {
  // 96 MB of modules, which only a process that uses EC2 loads.
  const sdk = await import('@aws-sdk/client-ec2')
  const client = new sdk.EC2Client({
    region,
    maxAttempts: attempts,
    requestHandler: { connectionTimeout: CONNECTS_WITHIN_MS, requestTimeout: ANSWERS_WITHIN_MS },
    ...(endpoint !== undefined && { endpoint }),
  })
  if (maySend !== undefined) {
    type Middleware = Parameters<typeof client.middlewareStack.addRelativeTo>[0]
    const check = (next: (args: unknown) => Promise<unknown>, { commandName = '' }: { commandName?: string }) => {
      return async (args: unknown) => {
        maySend(commandName)
        return next(args)
      }
    }
    client.middlewareStack.addRelativeTo(check as unknown as Middleware, {
      relation: 'after',
      toMiddleware: 'httpSigningMiddleware',
      name: 'maySend',
    })
  }
  return {
    sdk,
    /** Sends a command; every failure becomes an Ec2Error. */
    send: (async (command: Parameters<typeof client.send>[0]) => {
      try {
        return await client.send(command)
      } catch (error) {
        throw asEc2Error(error)
      }
    }) as EC2Client['send'],
  }
}

/** An answer; undefined where what was asked for is not there. */
export async function unlessMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isEc2(error, 'not-found')) return undefined
    throw error
  }
}

type Tags = Readonly<Record<string, string>>

/** Tags as the SDK takes them, and as filters of a list. */
export const sdkTags = (tags: Tags) => Object.entries(tags).map(([key, value]) => ({ Key: key, Value: value }))
export const tagFilters = (tags: Tags) =>
  Object.entries(tags).map(([key, value]) => ({ Name: `tag:${key}`, Values: [value] }))

type SdkTag = { readonly Key?: string | undefined; readonly Value?: string | undefined }
/** The tags of something that the SDK has listed. */
export const tagsOf = (tags: readonly SdkTag[] | undefined): Record<string, string> =>
  Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key ?? '', Value ?? '']))
