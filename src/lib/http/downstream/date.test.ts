import assert from 'node:assert/strict'
import { test } from 'vitest'
import { fastForwarding } from '../../../testing/fast-forwarding.ts'
import { streaming } from '../../../testing/h2-forwarding.ts'
import { RawClient, recorder } from '../../../testing/wire.ts'
import { wholeAnswer } from '../problem-answer.ts'

/** A Date header with a date of RFC 9110, 5.6.7. */
const DATE = /^date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r$/gim
const dates = (answer: string): readonly string[] => answer.match(DATE) ?? []

const ASKED = {
  'of HTTP/1.1': 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'of HTTP/1.0': 'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
  'that offers to switch': 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
}
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const OLD = 'Date: Tue, 15 Nov 1994 08:12:31 GMT'

for (const [whose, asked] of Object.entries(ASKED)) {
  test(`an answer without a Date gets one, to a client ${whose} (RFC 9110, 6.6.1)`, async () => {
    await using app = await recorder(OK)
    await using front = await fastForwarding()(app)
    using client = new RawClient(front.port, asked)
    const [date, another] = dates(await client.until('\r\n\r\nok'))
    assert(Math.abs(Date.parse(date?.slice(6) ?? '') - Date.now()) < 60_000, date)
    assert.equal(another, undefined)
  })

  test(`the Date of an app is kept, to a client ${whose}, also where Connection names it`, async () => {
    await using app = await recorder(OK.replace('\r\n\r\n', `\r\nConnection: date\r\n${OLD}\r\n\r\n`))
    await using front = await fastForwarding()(app)
    using client = new RawClient(front.port, asked)
    assert.deepEqual(dates(await client.until('\r\n\r\nok')), [`${OLD}\r`])
  })

  test(`an answer of our own has a Date, to a client ${whose}`, async () => {
    const answer = async (exchange: { answer(own: { status: number }): void }) => exchange.answer({ status: 404 })
    await using front = await fastForwarding({ handler: answer })({ address: '' })
    using client = new RawClient(front.port, asked)
    assert.equal(dates(await client.until('\r\n\r\n')).length, 1)
  })
}

for (const [what, answer] of [
  ['304', 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n'],
  ['500', 'HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n'],
  ['one of HTTP/1.0', 'HTTP/1.0 200 OK\r\n\r\n'],
] as const)
  test(`so gets ${what}`, async () => {
    await using app = await recorder(answer)
    await using front = await fastForwarding()(app)
    using client = new RawClient(front.port, ASKED['of HTTP/1.1'])
    assert.equal(dates(await client.until('\r\n\r\n')).length, 1)
  })

test('an interim answer gets none', async () => {
  await using app = await recorder(`HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${OK}`)
  await using front = await fastForwarding()(app)
  using client = new RawClient(front.port, ASKED['of HTTP/1.1'])
  const answer = await client.until('\r\n\r\nok')
  assert.equal(dates(answer).length, 1)
  assert.deepEqual(dates(answer.slice(0, answer.indexOf('200 OK'))), [])
})

test('so it is for clients of HTTP/2', async () => {
  await using app = await recorder(OK)
  await using front = await streaming(app)
  using client = front.client()
  const { headers } = await client.ask({ ':path': '/' })
  assert.match(String(headers['date']), / GMT$/)
  await using own = await streaming(app, {}, { handler: async exchange => exchange.answer({ status: 404 }) })
  using another = own.client()
  assert.match(String((await another.ask({ ':path': '/' })).headers['date']), / GMT$/)
})

test('an answer whose connection ends with it has the Date of its moment', () => {
  assert.equal(dates(wholeAnswer({ status: 503 }).toString()).length, 1)
})
