/** Names and values in latin1, unchanged. */
export type Fields = readonly (readonly [name: string, value: string])[]

/**
 * A request by HTTP/2. `refused`: the client must get an error, and nothing may reach the back end. `hides`: a value or a body contains
 * `…/evil`, so no back end may get a request for it.
 */
export type H2Payload = {
  readonly name: string
  readonly fields: Fields
  /** DATA frames; without them, the head ends the request. */
  readonly data?: readonly string[]
  readonly trailers?: Fields
  readonly refused?: true
}

/** Families of payloads that could split the HTTP/1.1 requests of a front; every target begins with `at`. */
export const h2Families: Readonly<Record<string, (at: string) => H2Payload[]>> = {
  'what is no header': at =>
    [
      ['x-a', `b\r\n${TE}`],
      ['x-a', `b\r\n\r\n${evil(at)}`],
      ['x-a', `b\n${TE}`],
      ['x-a', `b\r${TE}`],
      ['x-a', 'b\0c'],
      ['x-a', '\x01'],
      [`x-a: b\r\n${TE}\r\nx-c`, 'd'],
      [`x-a: b\r\n\r\n${evil(at)}x`, 'd'],
      ['x-a:', 'b'],
      ['x-a: b', 'c'],
      ['x a', 'b'],
      ['x-a ', 'b'],
      ['transfer-encoding ', 'chunked'],
      ['transfer-encoding\0', 'chunked'],
      ['content-length ', '44'],
      ['', 'b'],
      ['x\xe4', 'b'],
      ['cookie', `a=b\r\n\r\n${evil(at)}`],
      ['te', `trailers\r\n${TE}`],
      ['user-agent', `a\r\n\r\n${evil(at)}`],
    ].map(([name = '', value = '']) => ({ name: show(`${name}: ${value}`), fields: [...get(at), [name, value]] })),

  'headers that only HTTP/1 has': at =>
    [
      ['transfer-encoding', 'chunked'],
      ['transfer-encoding', 'identity'],
      ['transfer-encoding', ''],
      ['Transfer-Encoding', 'chunked'],
      ['connection', 'close'],
      ['connection', 'content-length'],
      ['connection', 'upgrade'],
      ['keep-alive', 'timeout=5'],
      ['proxy-connection', 'keep-alive'],
      ['upgrade', 'websocket'],
      ['upgrade', 'h2c'],
      ['http2-settings', 'AAMAAABkAAQAAP__'],
      ['te', 'chunked'],
      ['te', 'trailers, chunked'],
    ].flatMap(([name = '', value = '']) => [
      { name: `${name}: ${value}`, fields: [...get(at), [name, value]] as Fields, refused: true },
      {
        name: `${name}: ${value}, with a body`,
        fields: [...post(at), [name, value]] as Fields,
        data: [`0\r\n\r\n${evil(at)}`],
        refused: true,
      },
    ]),

  'lengths that do not hold': at => {
    const inner = evil(at)
    const lengths = (...values: string[]): Fields => values.map(value => ['content-length', value])
    const whole = String(inner.length)
    return [
      { name: 'less than comes', fields: [...post(at), ...lengths('0')], data: [inner] },
      { name: 'a little less than comes', fields: [...post(at), ...lengths('3')], data: [`abc${inner}`] },
      { name: 'less than comes, in two frames', fields: [...post(at), ...lengths('3')], data: ['abc', inner] },
      { name: 'more than comes', fields: [...post(at), ...lengths('500')], data: [inner] },
      { name: 'more than comes, which is nothing', fields: [...post(at), ...lengths('44')], data: [''] },
      { name: 'of no body', fields: [...post(at), ...lengths('44')], refused: true },
      { name: 'of GET without a body', fields: [...get(at), ...lengths('44')], refused: true },
      { name: 'two', fields: [...post(at), ...lengths(whole, '0')], data: [inner], refused: true },
      { name: 'two in one', fields: [...post(at), ...lengths(`${whole}, 0`)], data: [inner], refused: true },
      { name: 'a sign', fields: [...post(at), ...lengths(`+${whole}`)], data: [inner], refused: true },
      { name: 'hex', fields: [...post(at), ...lengths('0x2c')], data: [inner], refused: true },
      { name: 'below 0', fields: [...post(at), ...lengths('-1')], data: [inner], refused: true },
      { name: 'too great', fields: [...post(at), ...lengths('18446744073709551660')], data: [inner], refused: true },
      { name: 'empty', fields: [...post(at), ...lengths('')], data: [inner], refused: true },
    ]
  },

  'a :path that is none': at =>
    [
      `${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${evil(at)}`,
      `${at}/1 HTTP/1.1`,
      `${at}/1 `,
      ` ${at}/1`,
      `${at}/1\t`,
      `${at}/1\0`,
      `${at}/1\r`,
      `${at}/1\n`,
      `${at}/1#a`,
      `http://app${at}/1`,
      `http://other${at}/1`,
      at.slice(1),
      '*',
      '',
    ].map(path => ({ name: show(path), fields: instead(get(at), ':path', path), refused: true })),

  'an :authority that is none, or another than Host': at => [
    ...[
      `app\r\nX-A: b`,
      `app\r\n\r\n${evil(at)}`,
      'app other',
      'app, other',
      'app/other',
      'u@app',
      'app?a',
      'app\0',
      '',
    ].map(
      (authority): H2Payload => ({
        name: show(authority),
        fields: instead(get(at), ':authority', authority),
        refused: true,
      }),
    ),
    { name: 'another Host', fields: [...get(at), ['host', 'other']], refused: true },
    {
      name: 'a Host with a line end',
      fields: [...without(get(at), ':authority'), ['host', `app\r\n\r\n${evil(at)}`]],
      refused: true,
    },
    {
      name: 'two Hosts alone',
      fields: [...without(get(at), ':authority'), ['host', 'app'], ['host', 'other']],
      refused: true,
    },
    { name: 'two', fields: [...get(at), [':authority', 'other']], refused: true },
    { name: 'neither', fields: without(get(at), ':authority'), refused: true },
    { name: 'Host alone', fields: [...without(get(at), ':authority'), ['host', 'app']] },
    { name: 'the same Host', fields: [...get(at), ['host', 'app']] },
    { name: 'one that no app has', fields: instead(get(at), ':authority', 'other'), refused: true },
  ],

  'pseudo-headers out of order': at => [
    ...[
      `GET ${at}/evil HTTP/1.1\r\nHost: app\r\n\r\nGET`,
      `GET ${at}/evil`,
      'GET ',
      'G\0T',
      '',
      'get',
      'FOO',
      'CONNECT',
    ].map(
      (method): H2Payload => ({
        name: `:method ${show(method)}`,
        fields: instead(get(at), ':method', method),
        refused: true,
      }),
    ),
    { name: 'no :method', fields: without(get(at), ':method'), refused: true },
    { name: 'no :path', fields: without(get(at), ':path'), refused: true },
    { name: 'no :scheme', fields: without(get(at), ':scheme'), refused: true },
    { name: 'a :path twice', fields: [...get(at), [':path', `${at}/evil`]], refused: true },
    { name: 'a :method twice', fields: [...get(at), [':method', 'POST']], refused: true },
    { name: 'one that is unknown', fields: [...get(at), [':evil', '1']], refused: true },
    { name: 'one of an answer', fields: [...get(at), [':status', '200']], refused: true },
    { name: 'one behind a header', fields: [['x-a', 'b'], ...get(at)], refused: true },
    {
      name: 'a :protocol',
      fields: [...instead(get(at), ':method', 'CONNECT'), [':protocol', 'websocket']],
      refused: true,
    },
    { name: 'another :scheme', fields: instead(get(at), ':scheme', `x\r\n\r\n${evil(at)}`) },
  ],

  'bodies that look like requests': at =>
    ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'PUT', 'PROPFIND', 'POST'].flatMap(method => {
      const fields = instead(post(at), ':method', method)
      const sized: Fields = [...fields, ['content-length', String(evil(at).length)]]
      return [
        { name: `${method}, chunked on its way`, fields, data: [evil(at)] },
        { name: `${method}, in frames`, fields, data: ['0\r\n\r\n', evil(at).slice(0, 9), evil(at).slice(9)] },
        { name: `${method}, with its length`, fields: sized, data: [evil(at)] },
        { name: `${method}, empty`, fields, data: [''] },
      ]
    }),

  trailers: at =>
    [
      ['x-a', 'b'],
      ['x-a', `b\r\n\r\n${evil(at)}`],
      ['x-a', `b\r\n${TE}`],
      ['x-a: b\r\nx', 'c'],
      ['transfer-encoding', 'chunked'],
      ['content-length', '44'],
      ['host', 'other'],
      ['connection', 'x-a'],
      [':path', `${at}/evil`],
      ['', 'b'],
    ].map(([name = '', value = '']) => ({
      name: show(`${name}: ${value}`),
      fields: post(at),
      data: ['hello'],
      trailers: [[name, value]],
    })),
}

const TE = 'transfer-encoding: chunked'
const evil = (at: string): string => `GET ${at}/evil HTTP/1.1\r\nHost: app\r\n\r\n`

const get = (at: string): Fields => [
  [':method', 'GET'],
  [':path', `${at}/1`],
  [':scheme', 'https'],
  [':authority', 'app'],
]
const post = (at: string): Fields => instead(get(at), ':method', 'POST')

function instead(fields: Fields, name: string, value: string): Fields {
  return fields.map(([one, was]) => [one, one === name ? value : was])
}

function without(fields: Fields, name: string): Fields {
  return fields.filter(([one]) => one !== name)
}

const show = (text: string): string => JSON.stringify(text).slice(1, -1).slice(0, 60)
