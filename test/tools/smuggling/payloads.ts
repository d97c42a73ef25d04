/**
 * What a client sends, in latin1; several pieces are sent one by one, with `waits` each after an answer to those before it, or a while.
 * `refused`: the front must not forward any of it. `hides`: a body has it for its content, so nobody may be asked for `…/evil`.
 */
export type Payload = {
  readonly name: string
  readonly pieces: readonly string[]
  readonly waits?: true
  readonly refused?: true
  readonly hides?: true
}

/** Families of payloads; `at` begins every target, so that each payload's requests can be told from all others'. */
export const families: Record<string, (at: string) => Payload[]> = {
  'both Content-Length and Transfer-Encoding': at =>
    [
      ['CL.TE', `Content-Length: ${`0${END}${evil(at)}`.length}\r\nTransfer-Encoding: chunked`, `0${END}${evil(at)}`],
      ['TE.CL', 'Content-Length: 4\r\nTransfer-Encoding: chunked', chunked(evil(at))],
      ['TE first', 'Transfer-Encoding: chunked\r\nContent-Length: 4', chunked(evil(at))],
      ['a length of 0', 'Content-Length: 0\r\nTransfer-Encoding: chunked', chunked(evil(at))],
      ['another header between', 'Content-Length: 5\r\nX-A: b\r\nTransfer-Encoding: chunked', `0${END}${evil(at)}`],
    ].map(([name = '', headers = '', body = '']) => refused(name, post(at, headers, body))),

  'Transfer-Encoding obfuscated': at =>
    [
      'Transfer-Encoding: xchunked',
      'Transfer-Encoding: chunkedx',
      'Transfer-Encoding : chunked',
      'Transfer-Encoding\t: chunked',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: x',
      'Transfer-Encoding: x\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: chunked\r\ntransfer-encoding: identity',
      'Transfer-Encoding: identity',
      'Transfer-Encoding: identity, chunked',
      'Transfer-Encoding: chunked, identity',
      'Transfer-Encoding: chunked, chunked',
      'Transfer-Encoding: chunked;q=1',
      'Transfer-Encoding: \x0bchunked',
      'Transfer-Encoding: \x0cchunked',
      'Transfer-Encoding: \xa0chunked',
      'Transfer-Encoding: \xffchunked',
      'Transfer-Encoding: chunked\0',
      'Transfer-Encoding: ch\0unked',
      'Transfer-Encoding: "chunked"',
      "Transfer-Encoding: 'chunked'",
      'Transfer-Encoding:',
      'Transfer-Encoding: ,chunked',
      'Transfer-Encoding: chunked ,',
      'Transfer-Encoding:\r\n chunked',
      'Transfer-Encoding\r\n : chunked',
      ' Transfer-Encoding: chunked',
      'X-A: b\nTransfer-Encoding: chunked',
      'X-A: b\rTransfer-Encoding: chunked',
      'X-A: b\r\r\nTransfer-Encoding: chunked',
      '\0Transfer-Encoding: chunked',
      'Transfer-Encoding: gzip, chunked',
      'Transfer-Encoding: cow',
    ].flatMap(line => {
      const body = `0${END}${evil(at)}`
      return [
        refused(show(line), post(at, line, body)),
        refused(`${show(line)} and a length`, post(at, `Content-Length: ${body.length}\r\n${line}`, body)),
      ]
    }),

  'Transfer-Encoding as it may be': at =>
    ['Transfer-Encoding: CHUNKED', 'transfer-encoding:chunked', 'Transfer-Encoding:\tchunked \t'].map(line =>
      hides(show(line), post(at, line, chunked(evil(at))) + after(at)),
    ),

  'names that are nearly Transfer-Encoding or Content-Length': at =>
    [
      'Transfer_Encoding: chunked',
      'Transfer.Encoding: chunked',
      'X-Transfer-Encoding: chunked',
      'Content_Length: 3',
    ].map(line => maybe(show(line), post(at, `Content-Length: ${evil(at).length}\r\n${line}`, evil(at)) + after(at))),

  'CL.0: a request in a body that the back end may not read': at =>
    METHODS.map(method =>
      hides(method, `${head(method, `${at}/1`, `Content-Length: ${evil(at).length}`)}${evil(at)}${after(at)}`),
    ),

  '0.CL: a Content-Length that only one side may take': at =>
    [
      'Content-Length : 40',
      'Content-Length\t: 40',
      'Content-Length:\x0b40',
      'Content-Length: +40',
      'Content-Length: -40',
      'Content-Length: 0x28',
      'Content-Length: 4 0',
      'Content-Length: 4_0',
      'Content-Length: 40;',
      'Content-Length: 40\0',
      'Content-Length: 4e1',
      'Content-Length: 40.0',
      'Content-Length: \xb2\xb3',
      'Content-Length: 18446744073709551656',
      'Content-Length: 99999999999999999999999999',
      'Content-Length:',
      'Content-Length:\r\n 40',
      ' Content-Length: 40',
      '\tContent-Length: 40',
      'X-A: b\nContent-Length: 40',
      'X-A: b\rContent-Length: 40',
      '\0Content-Length: 40',
      'Content-Length\0: 40',
    ].flatMap(line => [
      refused(show(line), post(at, line, evil(at))),
      refused(`GET, ${show(line)}`, head('GET', `${at}/1`, line) + evil(at)),
    ]),

  'several Content-Lengths': at =>
    [
      'Content-Length: 4\r\nContent-Length: 5',
      'Content-Length: 0\r\nContent-Length: 44',
      'Content-Length: 44\r\nContent-Length: 0',
      'Content-Length: 5\r\ncontent-length: 5\r\nContent-Length: 6',
      'Content-Length: 4, 5',
      'Content-Length: 5,4',
    ].map(lines => refused(show(lines), post(at, lines, evil(at)))),

  'the same Content-Length twice': at =>
    ['Content-Length: 5\r\nContent-Length: 5', 'Content-Length: 5, 5', 'Content-Length: 005'].map(lines =>
      maybe(show(lines), post(at, lines, 'hello') + after(at)),
    ),

  'a body that comes after its answer': at => {
    const inner = evil(at)
    const length = `Content-Length: ${inner.length}`
    const asks = `Expect: 100-continue\r\n${length}`
    const half = inner.length >> 1
    return [
      late('all of it', head('POST', `${at}/1`, length), inner, after(at)),
      late('the half of it', head('POST', `${at}/1`, length) + inner.slice(0, half), inner.slice(half) + after(at)),
      late('with the next request', head('POST', `${at}/1`, length), inner + after(at)),
      late('of GET', head('GET', `${at}/1`, length), inner, after(at)),
      late('in chunks', head('POST', `${at}/1`, TE), chunked(inner), after(at)),
      late('the end of its chunks', `${post(at, TE, chunked(inner)).slice(0, -7)}`, `\r\n0${END}`, after(at)),
      late('a request where a chunk should be', head('POST', `${at}/1`, TE), inner, after(at)),
      late('a size that is none', post(at, TE, '5\r\nhello\r\n'), `-1\r\n${inner}`, after(at)),
      late('asked for', head('POST', `${at}/1`, asks), inner, after(at)),
      late('never, a request in its place', head('POST', `${at}/1`, asks), inner + after(at)),
      late('to nobody', `POST ${at}/1 HTTP/1.1\r\nHost: nobody\r\n${length}${END}`, inner, after(at)),
      late('to nobody, in chunks', `POST ${at}/1 HTTP/1.1\r\nHost: nobody\r\n${TE}${END}`, chunked(inner), after(at)),
    ]
  },

  'chunk sizes': at =>
    [
      '0x5',
      '+5',
      '-5',
      ' 5',
      '\t5',
      '5 ',
      '5\t',
      '5_',
      '5.',
      '5g',
      'g',
      '',
      '\0',
      '5\0',
      '\xb5',
      '0000000000000000000000005',
      '100000005',
      '10000000000000005',
      'ffffffffffffffff',
      'fffffffffffffffb',
      '8000000000000000',
      '00',
      '005',
      '5\x0b',
      '\xa05',
      '5,5',
      '5e0',
      '7ffffffffffffffb',
      '1fffffffffffff',
      `${'0'.repeat(300)}5`,
    ].map(size => maybe(`size ${show(size)}`, `${head('POST', `${at}/1`, TE)}${size}\r\nhello\r\n0${END}${evil(at)}`)),

  'sizes of last chunks': at =>
    ['-0', '+0', '0x0', '00', '0'.repeat(40), '0 ', ' 0', '0\0', '0_', '.0', '10000000000000000', ''].map(size =>
      maybe(`size ${show(size)}`, `${head('POST', `${at}/1`, TE)}5\r\nhello\r\n${size}${END}${evil(at)}${after(at)}`),
    ),

  'ends of chunk lines': at =>
    [
      ['LF after the size', `5\nhello\r\n0${END}`],
      ['CR after the size', `5\rhello\r\n0${END}`],
      ['CR CR LF after the size', `5\r\r\nhello\r\n0${END}`],
      ['LF CR after the size', `5\n\rhello\r\n0${END}`],
      ['nothing after the data', `5\r\nhello0${END}`],
      ['LF after the data', `5\r\nhello\n0${END}`],
      ['CR after the data', `5\r\nhello\r0${END}`],
      ['two other bytes after the data', `5\r\nhelloXX0${END}`],
      ['more data than the size', `5\r\nhello, you\r\n0${END}`],
      ['an empty line before the size', `\r\n5\r\nhello\r\n0${END}`],
      ['an empty line after the data', `5\r\nhello\r\n\r\n0${END}`],
      ['LF after the last chunk', '5\r\nhello\r\n0\n\r\n'],
      ['LF for the empty line', '5\r\nhello\r\n0\r\n\n'],
      ['LF LF at the end', '5\r\nhello\r\n0\n\n'],
      ['CR LF CR at the end', '5\r\nhello\r\n0\r\n\r'],
      ['one byte for an end of two (a size one too small)', `4\r\nhello\r\n0${END}`],
    ].map(([name = '', body = '']) => maybe(name, head('POST', `${at}/1`, TE) + body + evil(at))),

  'chunk extensions': at =>
    [
      '5;',
      '5;a',
      '5;a=b',
      '5;a="b;c"',
      '5 ;a',
      '5; a=b',
      '5;a =b',
      '5;=',
      '5;a=',
      '5;;',
      '5;a=\0',
      '5;a="',
      '5;a="\\',
      '5;a=b c',
      `5;${'a'.repeat(9_000)}`,
      '5;\xff',
    ].map(line =>
      maybe(`${show(line).slice(0, 40)}`, `${head('POST', `${at}/1`, TE)}${line}\r\nhello\r\n0${END}${after(at)}`),
    ),

  'line ends in chunk extensions (TERM.EXT, EXT.TERM, TERM.SPILL, SPILL.TERM)': at => {
    const inner = evil(at)
    const hidden = `${inner.length.toString(16)}\r\n${inner}\r\n0${END}`
    return [
      ['TERM.EXT by LF', `5;\nX\r\nhello\r\n0${END}${inner}`],
      ['TERM.EXT by LF, as a chunk', `2;\nxx\r\n${hidden}0${END}`],
      ['TERM.EXT by CR', `2;\rxx\r\n${hidden}0${END}`],
      ['EXT.TERM by LF', `2;a\nxx\r\n4c\r\n0${END}${inner}\r\n0${END}`],
      ['EXT.TERM by LF in quotes', `2;a="\n"\r\nxx\r\n0${END}${inner}`],
      ['EXT.TERM by CR LF in quotes', `2;a="\r\n"\r\nxx\r\n0${END}${inner}`],
      ['EXT.TERM by CR', `2;a\rb\r\nxx\r\n0${END}${inner}`],
      ['TERM.SPILL', `5\r\nhelloX\r\n${hidden}`],
      ['TERM.SPILL by LF', `5\r\nhello\nX\r\n0${END}${inner}`],
      ['SPILL.TERM', `5\r\nhello\rX2\r\n0${END}${inner}`],
      ['ONE.TWO', `2\r\nxx\n2\r\nyy\r\n0${END}${inner}`],
      ['in the last chunk', `0;a\nb${END}${inner}`],
      ['in the last chunk, CR', `0;\r\n\r\r\n${inner}`],
    ].map(([name = '', body = '']) => maybe(name, head('POST', `${at}/1`, TE) + body))
  },

  trailers: at =>
    [
      'X-A: b',
      'Content-Length: 44',
      'Transfer-Encoding: chunked',
      `Host: other`,
      'X-A: b\nX-C: d',
      'X-A: b\rX-C: d',
      'X-A : b',
      ' X-A: b',
      'X-A: b\r\n c',
      'X-A: b\r\n\tc',
      ' c\r\nX-A: b',
      'X-A:\r\n b',
      `X-A: b\r\n ${TE}`,
      `X-A: b\r\n Content-Length: 44`,
      'X-A: b\r\n \r\n c',
      'X-A',
      ': b',
      'X-A: \0',
      'Connection: X-A\r\nX-A: b',
      `GET ${at}/evil HTTP/1.1`,
    ].map(lines => maybe(show(lines), `${head('POST', `${at}/1`, TE)}5\r\nhello\r\n0\r\n${lines}${END}${after(at)}`)),

  'bare LF and CR in a head': at =>
    [
      ['LF everywhere', `GET ${at}/1 HTTP/1.1\nHost: app\n\n`],
      ['LF after the request line', `GET ${at}/1 HTTP/1.1\nHost: app\r\n\r\n`],
      ['LF after a header', `GET ${at}/1 HTTP/1.1\r\nHost: app\n\r\n`],
      ['LF for the empty line', `GET ${at}/1 HTTP/1.1\r\nHost: app\r\n\n`],
      ['CR everywhere', `GET ${at}/1 HTTP/1.1\rHost: app\r\r`],
      ['CR in a header', `GET ${at}/1 HTTP/1.1\r\nHost: app\r\nX-A: b\rX-C: d\r\n\r\n`],
      ['CR in the target', `GET ${at}/1\r HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['CR CR LF', `GET ${at}/1 HTTP/1.1\r\r\nHost: app\r\n\r\n`],
      ['LF CR', `GET ${at}/1 HTTP/1.1\n\rHost: app\n\r\n\r`],
      ['a request hidden behind CR LF CR', `GET ${at}/1 HTTP/1.1\r\nHost: app\r\nX-A: b\r\n\r${evil(at)}`],
      ['a request hidden behind LF LF', `GET ${at}/1 HTTP/1.1\r\nHost: app\r\nX-A: b\n\n${evil(at)}`],
      ['LF before the request', `\nGET ${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['CR before the request', `\rGET ${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n`],
    ].map(([name = '', text = '']) => maybe(name, text + after(at))),

  'empty lines before a request': at => [
    maybe('one', `\r\nGET ${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${after(at)}`),
    maybe('many', `${'\r\n'.repeat(20)}GET ${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${after(at)}`),
    maybe('between two', `GET ${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n\r\n${after(at)}`),
  ],

  'folded lines': at =>
    [
      'X-A: b\r\n c: d',
      'X-A: b\r\n\tc',
      'X-A:\r\n b',
      'X-A: b\r\n \r\n c',
      `X-A: b\r\n ${TE}`,
      `X-A: b\r\n Content-Length: 44`,
    ].map(lines => refused(show(lines), head('GET', `${at}/1`, lines) + evil(at))),

  'header names that are none': at =>
    [
      'X-A : b',
      'X-A\t: b',
      ': b',
      ' : b',
      'X A: b',
      'X-A',
      'X-A\0: b',
      '\0: b',
      'X(A): b',
      'X\xe4: b',
      'X-A\x7f: b',
      'X,A: b',
      '"X-A": b',
      '{X}: b',
      'X-A;: b',
      '@: b',
    ].map(line => refused(show(line), head('GET', `${at}/1`, line) + evil(at))),

  'control characters': at =>
    [
      ['NUL in a value', head('GET', `${at}/1`, 'X-A: b\0c')],
      ['NUL in the target', head('GET', `${at}/1\0`)],
      ['NUL before the method', `\0${head('GET', `${at}/1`)}`],
      ['NUL in the host', `GET ${at}/1 HTTP/1.1\r\nHost: app\0evil\r\n\r\n`],
      ['ESC in a value', head('GET', `${at}/1`, 'X-A: \x1b')],
      ['DEL in a value', head('GET', `${at}/1`, 'X-A: \x7f')],
      ['a vertical tab in a value', head('GET', `${at}/1`, 'X-A: \x0b')],
      ['a tab in the target', head('GET', `${at}/1\t`)],
    ].map(([name = '', text = '']) => refused(name, text + evil(at))),

  Expect: at => {
    const inner = evil(at)
    const length = `Content-Length: ${inner.length}`
    return [
      maybe('the body at once', post(at, `Expect: 100-continue\r\n${length}`, inner) + after(at)),
      maybe('the body at once, chunked', post(at, `Expect: 100-continue\r\n${TE}`, chunked(inner)) + after(at)),
      maybe('no body', head('GET', `${at}/1`, 'Expect: 100-continue') + after(at)),
      maybe('GET with a body', head('GET', `${at}/1`, `Expect: 100-continue\r\n${length}`) + inner + after(at)),
      maybe('in HTTP/1.0', `POST ${at}/1 HTTP/1.0\r\nHost: app\r\nExpect: 100-continue\r\n${length}\r\n\r\n${inner}`),
      maybe('twice', post(at, `Expect: 100-continue\r\nExpect: 100-continue\r\n${length}`, inner) + after(at)),
      maybe('in capitals', post(at, `Expect: 100-Continue\r\n${length}`, inner) + after(at)),
      maybe('the body later', head('POST', `${at}/1`, `Expect: 100-continue\r\n${length}`), inner, after(at)),
      maybe(
        'never the body but a request',
        head('POST', `${at}/1`, `Expect: 100-continue\r\n${length}`),
        after(at),
        inner,
      ),
      ...['y 100-continue', '100-continue, x', '200-ok', '', '100-continue\0', '\x0b100-continue'].map(value =>
        maybe(show(value), post(at, `Expect: ${value}\r\n${length}`, inner) + after(at)),
      ),
      refused('folded', post(at, `Expect:\r\n 100-continue\r\n${length}`, inner) + after(at)),
      refused('a space before the colon', post(at, `Expect : 100-continue\r\n${length}`, inner)),
    ]
  },

  upgrades: at => {
    const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA'
    const webSocket = (version: number): string =>
      `Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: ${version}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==`
    return [
      maybe('h2c, then its preface', head('GET', `${at}/1`, h2c), PREFACE, evil(at)),
      maybe('h2c at once with a request', head('GET', `${at}/1`, h2c) + evil(at)),
      maybe(
        'h2c without HTTP2-Settings in Connection',
        head('GET', `${at}/1`, h2c.replace(', HTTP2-Settings', '')),
        PREFACE,
      ),
      maybe('h2c with a body', post(at, `${h2c}\r\nContent-Length: ${evil(at).length}`, evil(at)), PREFACE),
      maybe('the preface alone', PREFACE, evil(at)),
      maybe('a WebSocket that the back end refuses', head('GET', `${at}/1`, webSocket(777)), evil(at)),
      maybe('a WebSocket that the back end does not know', head('GET', `${at}/1`, webSocket(13)) + evil(at)),
      maybe(
        'a WebSocket with a body',
        post(at, `${webSocket(13)}\r\nContent-Length: ${evil(at).length}`, evil(at)) + after(at),
      ),
      maybe('a WebSocket with a chunked body', post(at, `${webSocket(13)}\r\n${TE}`, chunked(evil(at))) + after(at)),
      maybe('something unknown', head('GET', `${at}/1`, 'Connection: Upgrade\r\nUpgrade: shadow/1') + evil(at)),
      maybe('Upgrade without Connection', head('GET', `${at}/1`, 'Upgrade: h2c') + after(at)),
      refused('CONNECT', `CONNECT app:80 HTTP/1.1\r\nHost: app:80\r\n\r\n${evil(at)}`),
    ]
  },

  'targets and hosts that disagree': at => [
    ...[
      ['another host in the target', `GET http://other${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['another port in the target', `GET http://app:81${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['a user in the target', `GET http://other@app${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['another scheme', `GET ftp://app${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['no path', `GET app HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['no Host', `GET ${at}/1 HTTP/1.1\r\n\r\n`],
      ['an empty Host', `GET ${at}/1 HTTP/1.1\r\nHost:\r\n\r\n`],
      ['two Hosts', `GET ${at}/1 HTTP/1.1\r\nHost: app\r\nHost: other\r\n\r\n`],
      ['the same Host twice', `GET ${at}/1 HTTP/1.1\r\nHost: app\r\nhost: app\r\n\r\n`],
      ['a list of hosts', `GET ${at}/1 HTTP/1.1\r\nHost: app, other\r\n\r\n`],
      ['a space in Host', `GET ${at}/1 HTTP/1.1\r\nHost: app other\r\n\r\n`],
      ['a path in Host', `GET ${at}/1 HTTP/1.1\r\nHost: app/other\r\n\r\n`],
      ['a space before the colon of Host', `GET ${at}/1 HTTP/1.1\r\nHost : app\r\n\r\n`],
      ['a folded Host', `GET ${at}/1 HTTP/1.1\r\nHost: app\r\n other\r\n\r\n`],
    ].map(([name = '', text = '']) => maybe(name, text + after(at))),
    maybe('the absolute form before another Host', `GET http://app${at}/1 HTTP/1.1\r\nHost: other\r\n\r\n${after(at)}`),
    maybe('the absolute form with a port', `GET http://app:80${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${after(at)}`),
    maybe('the absolute form of https', `GET https://app${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${after(at)}`),
    hides(
      'the absolute form with a body',
      `POST http://app${at}/1 HTTP/1.1\r\nHost: app\r\n${TE}${END}${chunked(evil(at))}`,
    ),
    refused('the absolute form without Host', `GET http://app${at}/1 HTTP/1.1\r\n\r\n${evil(at)}`),
    refused(
      'the absolute form with two Hosts',
      `GET http://app${at}/1 HTTP/1.1\r\nHost: app\r\nHost: app\r\n\r\n${evil(at)}`,
    ),
    maybe('the absolute form', `GET http://app${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${after(at)}`),
    maybe('two slashes', `GET /${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${after(at)}`),
    maybe('the absolute form behind a slash', `GET /http://other${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${after(at)}`),
  ],

  'headers that Connection names': at => {
    const inner = evil(at)
    return [
      ...['Content-Length', 'content-length, close', 'close, Content-Length', 'keep-alive, CONTENT-LENGTH'].map(names =>
        maybe(names, post(at, `Connection: ${names}\r\nContent-Length: ${inner.length}`, inner) + after(at)),
      ),
      ...['Transfer-Encoding', 'transfer-encoding, te'].map(names =>
        maybe(names, post(at, `Connection: ${names}\r\n${TE}`, chunked(inner)) + after(at)),
      ),
      maybe('Host', head('GET', `${at}/1`, 'Connection: Host') + after(at)),
      maybe('X-Forwarded-For', head('GET', `${at}/1`, 'Connection: X-Forwarded-For') + after(at)),
      maybe('an upgrade that is not there', head('GET', `${at}/1`, 'Connection: upgrade') + after(at)),
      maybe(
        'Expect',
        post(at, `Connection: Expect\r\nExpect: 100-continue\r\nContent-Length: ${inner.length}`, inner) + after(at),
      ),
      maybe(
        'Proxy-Connection',
        head('GET', `${at}/1`, 'Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=5') + after(at),
      ),
      maybe('TE', head('GET', `${at}/1`, 'Connection: TE\r\nTE: trailers, chunked') + after(at)),
    ]
  },

  'chunked bodies with methods that seldom have any': at =>
    METHODS.map(method => hides(method, head(method, `${at}/1`, TE) + chunked(evil(at)) + after(at))),

  'versions and request lines': at => [
    ...[
      ['HTTP/0.9', `GET ${at}/1\r\n`],
      ['HTTP/0.9 in full', `GET ${at}/1 HTTP/0.9\r\nHost: app\r\n\r\n`],
      ['HTTP/2.0', `GET ${at}/1 HTTP/2.0\r\nHost: app\r\n\r\n`],
      ['HTTP/1.2', `GET ${at}/1 HTTP/1.2\r\nHost: app\r\n\r\n`],
      ['in small letters', `GET ${at}/1 http/1.1\r\nHost: app\r\n\r\n`],
      ['a space behind', `GET ${at}/1 HTTP/1.1 \r\nHost: app\r\n\r\n`],
      ['tabs for spaces', `GET\t${at}/1\tHTTP/1.1\r\nHost: app\r\n\r\n`],
      ['a leading zero', `GET ${at}/1 HTTP/01.1\r\nHost: app\r\n\r\n`],
      ['a space before the method', ` GET ${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['a version with more behind it', `GET ${at}/1 HTTP/1.1 HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['a method in small letters', `get ${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n`],
      ['chunked in HTTP/1.0', `POST ${at}/1 HTTP/1.0\r\nHost: app\r\n${TE}\r\n\r\n${chunked(evil(at))}`],
    ].map(([name = '', text = '']) => refused(name, text + evil(at))),
    maybe('two spaces', `GET  ${at}/1 HTTP/1.1\r\nHost: app\r\n\r\n${after(at)}`),
    maybe('HTTP/1.0', `GET ${at}/1 HTTP/1.0\r\nHost: app\r\n\r\n${evil(at)}`),
    maybe('HTTP/1.0 without Host', `GET ${at}/1 HTTP/1.0\r\n\r\n${evil(at)}`),
    maybe(
      'HTTP/1.0 that is kept alive',
      `GET ${at}/1 HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\n\r\n${after(at)}`,
    ),
    maybe(
      'HTTP/1.0 with a body, kept alive',
      `POST ${at}/1 HTTP/1.0\r\nHost: app\r\nConnection: keep-alive\r\nContent-Length: ${evil(at).length}\r\n\r\n${evil(at)}${after(at)}`,
    ),
  ],

  pipelining: at => {
    const requests = [
      head('GET', `${at}/1`),
      post(at, 'Content-Length: 5', 'hello'),
      head('HEAD', `${at}/2`),
      head('POST', `${at}/3`, 'Content-Length: 0'),
      post(at, TE, chunked(evil(at))),
      head('DELETE', `${at}/4`),
    ].join('')
    const all = requests + after(at)
    return [
      maybe('all at once', all),
      maybe('cut in the middle of everything', ...(all.match(/[\s\S]{1,37}/g) ?? [])),
      maybe('byte by byte around a chunk', ...splitAt(all, all.indexOf(TE), 60)),
      maybe('after a client that closes', `${head('GET', `${at}/1`, 'Connection: close')}${evil(at)}`),
    ]
  },
}

const END = '\r\n\r\n'
const TE = 'Transfer-Encoding: chunked'
const METHODS = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'PUT', 'PATCH', 'PROPFIND', 'TRACE']
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'

function evil(at: string): string {
  return `GET ${at}/evil HTTP/1.1\r\nHost: app\r\n\r\n`
}

function after(at: string): string {
  return `GET ${at}/after HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n`
}

function head(method: string, target: string, headers = ''): string {
  return `${method} ${target} HTTP/1.1\r\nHost: app\r\n${headers === '' ? '' : `${headers}\r\n`}\r\n`
}

function post(at: string, headers: string, body: string): string {
  return head('POST', `${at}/1`, headers) + body
}

function chunked(body: string): string {
  return `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
}

function splitAt(text: string, from: number, bytes: number): string[] {
  return [text.slice(0, from), ...text.slice(from, from + bytes), text.slice(from + bytes)]
}

function refused(name: string, ...pieces: string[]): Payload {
  return { name, pieces, refused: true }
}

function maybe(name: string, ...pieces: string[]): Payload {
  return { name, pieces }
}

function hides(name: string, ...pieces: string[]): Payload {
  return { name, pieces, hides: true }
}

function late(name: string, ...pieces: string[]): Payload {
  return { name, pieces, hides: true, waits: true }
}

function show(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}
