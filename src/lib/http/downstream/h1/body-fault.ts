import { ShadowError } from '../../../errors.ts'
import { tooLarge } from '../../guard/limits.ts'
import type { BodyFramer } from '../../wire/body-framer.ts'
import type { ServerContext } from '../server-context.ts'

/** Why the part of a client's body that was taken last is refused; undefined if it is not. A body that is too large is counted. */
export function bodyFault(
  body: BodyFramer,
  { limits, counters }: Pick<ServerContext, 'limits' | 'counters'>,
): ShadowError | undefined {
  if (body.fault !== undefined) return new ShadowError('bad-input', `a body with ${body.fault}`)
  if (body.chunked <= limits.bodyBytes) return undefined
  counters.bodiesTooLarge += 1
  return tooLarge(limits.bodyBytes)
}
