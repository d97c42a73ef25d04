import { createServer } from 'node:http'
import { listen } from '../http/api/request-handler.ts'
import type { Listening } from '../http/listening.ts'
import type { Log } from '../log.ts'
import type { ListenAddress } from '../settings.ts'
import type { Metrics } from './metrics.ts'

const WITHIN_MS = 10_000

/** Serves `GET /metrics` on an address of its own, because metrics are not for visitors. */
export function openMetrics(metrics: Metrics, at: ListenAddress, log: Log): Promise<Listening> {
  const { unwritten } = log
  if (unwritten !== undefined) logMetrics(metrics, unwritten)
  const server = createServer({ requestTimeout: WITHIN_MS, headersTimeout: WITHIN_MS }, (request, response) => {
    if (request.url?.split('?', 1)[0] !== '/metrics') return void response.writeHead(404).end('see /metrics\n')
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return void response.writeHead(405, { allow: 'GET, HEAD' }).end()
    metrics.text().then(
      ({ type, body }) => response.writeHead(200, { 'content-type': type }).end(body),
      cause => {
        log.error('metrics not served', { cause })
        response.writeHead(500).end()
      },
    )
  })
  return listen(server, at)
}

/**
 * Adds the metrics of a log.
 *
 * @internal
 */
export function logMetrics(metrics: Metrics, unwritten: NonNullable<Log['unwritten']>): void {
  metrics.counter(
    { name: 'log_lines_lost_total', help: 'Lines of the log that could not be written, and were lost' },
    () => ({ '': unwritten().lost }),
  )
  metrics.counter(
    { name: 'log_write_errors_total', help: 'Attempts to write the log that failed; each is tried again' },
    () => ({ '': unwritten().failures }),
  )
}
