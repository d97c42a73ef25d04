import { expect, test } from 'vitest'
import { newSpanId, newTraceId, parseTraceParent, sayTraceParent } from './trace-parent.ts'

const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'

test('a header is read as it is written', () => {
  const context = { traceId: newTraceId(), spanId: newSpanId() }
  expect(parseTraceParent(sayTraceParent(context))).toEqual({ ...context, isSampled: true })
  expect(parseTraceParent(`00-${traceId}-${spanId}-00`)).toEqual({ traceId, spanId, isSampled: false })
})

test('a later version may have more fields', () => {
  expect(parseTraceParent(`cc-${traceId}-${spanId}-03-what-the-future-says`)?.isSampled).toBe(true)
  expect(parseTraceParent(`00-${traceId}-${spanId}-01-more`)).toBeUndefined()
})

test.each([
  undefined,
  '',
  'nonsense',
  `ff-${traceId}-${spanId}-01`,
  `00-${'0'.repeat(32)}-${spanId}-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  `00-${traceId}-${spanId}`,
  `00-${traceId}-${spanId}-1`,
])('%s is ignored', header => {
  expect(parseTraceParent(header)).toBeUndefined()
})
