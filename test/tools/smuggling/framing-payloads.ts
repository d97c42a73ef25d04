import {
  after,
  chunked,
  END,
  evil,
  type Families,
  head,
  hides,
  late,
  METHODS,
  maybe,
  post,
  refused,
  show,
  TE,
} from './payload.ts'

/** Where a body begins and ends. */
export const framing: Families = {
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

  'chunked bodies with methods that seldom have any': at =>
    METHODS.map(method => hides(method, head(method, `${at}/1`, TE) + chunked(evil(at)) + after(at))),
}
