import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { LogQuery } from '../../api/log-query.ts'
import type { Clock } from '../../lib/clock.ts'
import { readLines } from '../../lib/http/api/events.ts'
import type { App } from '../../model/app.ts'
import type { LogLine } from '../../model/instance.ts'
import type { Relay } from '../relay.ts'
import { type MergedParts, mergedLog } from './merged-log.ts'

type Parts = { readonly relay: Pick<Relay, 'openLog' | 'logSources'>; readonly clock: Clock }

const TYPE = { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' }

/** Streams the log of an app as NDJSON: of its one instance, or of all instances of an app that may have several. */
export async function streamAppLogs(
  { relay, clock }: Parts,
  app: App,
  query: LogQuery,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const begin = (): void => {
    response.writeHead(200, TYPE)
    response.flushHeaders()
  }
  if (app.scale === undefined) {
    const { body } = await relay.openLog(app, query, signal)
    begin()
    return pipeline(body, response, { signal })
  }
  const { instance: only } = query
  const parts: MergedParts = {
    clock,
    async list() {
      const { sources, silent } = await relay.logSources(app)
      return { sources: sources.filter(({ instance }) => only === undefined || instance === only), silent }
    },
    async *read(source, reading, until): AsyncGenerator<LogLine> {
      const since = reading.since ?? query.since
      const { body } = await relay.openLog(app, { ...query, ...reading, since }, until, source)
      for await (const line of readLines(body)) if (line !== '') yield JSON.parse(line) as LogLine
    },
  }
  begin()
  const lines = Readable.from(textOf(mergedLog(parts, query, signal)), { objectMode: false })
  await pipeline(lines, response, { signal })
}

async function* textOf(lines: AsyncIterable<LogLine>): AsyncGenerator<string> {
  for await (const line of lines) yield `${JSON.stringify(line)}\n`
}
