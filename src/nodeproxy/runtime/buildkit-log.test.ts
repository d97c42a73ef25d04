import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { buildkitLines, buildkitStatus } from './buildkit-log.ts'

// What Docker 20.10 sent, as it came.
const BEGUN =
  'CpcBCkdzaGEyNTY6NzEyYzljNmE3NDQyZDhlZjU0YTkzMGFiMzBjMTRmZDcwMWIwNDU5OTk0MjY2MTZkZmRiOWI4YmY3MDAzMTZhMhowW3N0YWdlLTAgMS8zXSBGUk9NIGRvY2tlci5pby9zaGFkb3ctdGVzdC9idXN5Ym94KgwI/OSx2AYQlu7okQMyDAj85LHYBhC9wveRAw=='
const INTERNAL =
  'Cn0KR3NoYTI1NjoxNWU4ZjQ5MzY4M2VmOGNiYzJhOTA1NjcwZTFmMmIwZWI4YTUzYjk2NTdlMzljNmFkZjcyZmJkMGY1YTkzOWEzGiRbaW50ZXJuYWxdIGxvYWQgcmVtb3RlIGJ1aWxkIGNvbnRleHQqDAj85LHYBhD21rjYAQ=='
const OUT =
  'Gl8KR3NoYTI1NjowZTRkMTNhZTg2MWQ1NjczNzc3MTE0YTY0NjgzODE5Mzg1OWI0MzIxYjU1NjgwODA0NWM2NjU1YjQxNzc3MjQ5EgwI3fux2AYQrrTY3AMYAiIEZXJyCg=='
const FAILED =
  'CqoCCkdzaGEyNTY6MGU0ZDEzYWU4NjFkNTY3Mzc3NzExNGE2NDY4MzgxOTM4NTliNDMyMWI1NTY4MDgwNDVjNjY1NWI0MTc3NzI0ORJHc2hhMjU2OjcxMmM5YzZhNzQ0MmQ4ZWY1NGE5MzBhYjMwYzE0ZmQ3MDFiMDQ1OTk5NDI2NjE2ZGZkYjliOGJmNzAwMzE2YTIaKFsyLzJdIFJVTiBlY2hvIG91dDsgZWNobyBlcnIgPiYyOyBleGl0IDMqDAjd+7HYBhCgt8y3AjILCN77sdgGELXP6xA6UWV4ZWN1dG9yIGZhaWxlZCBydW5uaW5nIFsvYmluL3NoIC1jIGVjaG8gb3V0OyBlY2hvIGVyciA+JjI7IGV4aXQgM106IGV4aXQgY29kZTogMw=='
const bytes = (text: string): Buffer => Buffer.from(text, 'base64')

/** A message of one step, by hand: `fields` are the numbers of fields with their values. */
function stepMessage(fields: readonly (readonly [number, string | number])[]): Buffer {
  const step = Buffer.concat(
    fields.map(([number, value]) =>
      typeof value === 'number'
        ? Buffer.from([number * 8, value])
        : Buffer.concat([Buffer.from([number * 8 + 2, value.length]), Buffer.from(value)]),
    ),
  )
  return Buffer.concat([Buffer.from([10, step.length]), step])
}

describe('what BuildKit tells', () => {
  test('is read as it comes: steps, what they print, and how they fail', () => {
    assert.equal(buildkitStatus(bytes(BEGUN)).steps[0]?.name, '[stage-0 1/3] FROM docker.io/shadow-test/busybox')
    assert.equal(buildkitStatus(bytes(OUT)).logs[0]?.text, 'err\n')
    const [failed] = buildkitStatus(bytes(FAILED)).steps
    assert.deepEqual(
      [failed?.name, failed?.error],
      [
        '[2/2] RUN echo out; echo err >&2; exit 3',
        'executor failed running [/bin/sh -c echo out; echo err >&2; exit 3]: exit code: 3',
      ],
    )
  })

  test('becomes lines: a step once, also if it is told of again, and nothing that BuildKit does for itself', () => {
    const lines: string[] = []
    const read = buildkitLines(line => lines.push(line))
    for (const message of [INTERNAL, BEGUN, BEGUN, FAILED, OUT]) read(bytes(message))
    assert.deepEqual(lines, [
      '[stage-0 1/3] FROM docker.io/shadow-test/busybox',
      '[2/2] RUN echo out; echo err >&2; exit 3',
      'err',
    ])
  })

  test('tells what was found in the cache, and a step that has not begun is not told of', () => {
    const lines: string[] = []
    const read = buildkitLines(line => lines.push(line))
    read(
      stepMessage([
        [1, 'a'],
        [3, '[1/2] RUN make'],
      ]),
    )
    read(
      stepMessage([
        [1, 'a'],
        [3, '[1/2] RUN make'],
        [4, 1],
      ]),
    )
    assert.deepEqual(lines, ['[1/2] RUN make (cached)'])
  })

  test('fails where it is cut short', () => {
    for (const end of [1, 3, 40]) assert.throws(() => buildkitStatus(bytes(BEGUN).subarray(0, end)), /cut short/)
    assert.deepEqual(buildkitStatus(Buffer.alloc(0)), { steps: [], logs: [] })
  })
})
