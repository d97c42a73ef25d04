import assert from 'node:assert/strict'
import { test } from 'vitest'
import { forwarding } from '../../testing/forwarding.ts'
import { httpApp, RawClient } from '../../testing/wire.ts'

test('many requests at once on one connection are served, and nobody warns of a leak', async () => {
  const warnings: Error[] = []
  const warned = (warning: Error): void => void warnings.push(warning)
  process.on('warning', warned)
  await using app = await httpApp((request, response) => response.end(`<${request.url}>`))
  await using front = await forwarding(app)
  const requests = Array.from({ length: 30 }, (_, at) => `GET /${at} HTTP/1.1\r\nHost: a\r\n\r\n`)
  using client = new RawClient(front.port, requests.join(''))
  await client.until('</29>')
  await new Promise(setImmediate)
  process.off('warning', warned)
  assert.deepEqual(warnings, [])
})
