import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'vitest'
import type { LogLine } from '../model/instance.ts'
import { instanceId } from '../model/instance-id.ts'
import { appName } from '../model/names.ts'
import { settled } from '../testing/instance-environment.ts'
import { apiHandlers } from './api-handlers.ts'

const LINES = 10_000

test('a log is read no faster than its reader takes it', async () => {
  let given = 0
  async function* readLogs(): AsyncGenerator<LogLine> {
    for (; given < LINES; given++) yield { at: '', stream: 'stdout', line: 'x'.repeat(100) }
  }
  // The tested calls use no other part of a node.
  const handlers = apiHandlers({ readLogs, ending: new AbortController().signal } as unknown as Parameters<
    typeof apiHandlers
  >[0])
  const response = Object.assign(new PassThrough(), { writeHead: () => undefined, flushHeaders: () => undefined })
  const asked = { params: { instance: instanceId(appName('blog')) }, query: { tail: 0, follow: true }, body: undefined }
  const { signal } = new AbortController()
  const stream = {
    request: undefined as never,
    response: response as unknown as ServerResponse,
    signal,
    permit: undefined,
  }
  const answering = handlers.instanceLogs(asked, stream)
  for (let i = 0; i < 100; i++) await settled()
  assert.ok(given < LINES, `all ${given} lines lie in our memory`)
  const lines = await text(response)
  await answering
  assert.equal(lines.split('\n').length, LINES + 1)
})
