import type { IncomingMessage, ServerResponse } from 'node:http'
import { PERMIT_HEADER } from '../../api/paths.ts'
import type { Log } from '../../lib/log.ts'
import type { Repository } from '../../model/image-store.ts'
import type { BodyDeadlines } from '../body-deadlines.ts'
import type { Callers } from '../callers.ts'
import type { Permits } from '../permits.ts'
import { answerFault } from './faults.ts'
import { answerImages, isPing, sendsBlob } from './http.ts'
import { mustPushImage, mustUseImages, mustUseRepository } from './permission.ts'
import type { ImageStore } from './store.ts'

type Parts = {
  readonly store: ImageStore
  readonly permits: Pick<Permits, 'mustPush'>
  readonly callers: Callers
  readonly deadlines: BodyDeadlines
  readonly log: Log
}

/** Whether the request is one of the OCI distribution protocol. */
export const isForImages = ({ url = '' }: IncomingMessage): boolean => /^\/v2(?:[/?]|$)/.test(url)

/**
 * The OCI distribution protocol at `/v2/`, as docker, skopeo and podman speak it. The token is the password of any user, as `docker login`
 * sends it, or a bearer token.
 */
export const imagesHandler =
  ({ store, permits, callers, deadlines, log }: Parts) =>
  async (request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> => {
    try {
      const caller = await callers.of(request, { basic: true })
      // `docker login` shows no reason of a refusal, and every other command does: so any token may log in.
      const isBuild = caller.role === 'node'
      if (isBuild) mustPushImage(request, name => permits.mustPush(name, caller, permitOf(request)))
      else if (!isPing(request)) mustUseImages(caller)
      if (sendsBlob(request)) deadlines.letOff(request)
      const mayUse = (name: Repository): void => mustUseRepository(caller, name)
      await answerImages(store, { request, response, mayUse, signal, isBuild })
    } catch (error) {
      if (!signal.aborted) answerFault(request, response, error, log)
    }
  }

const permitOf = ({ headers }: IncomingMessage): string | undefined => headers[PERMIT_HEADER]?.toString()
