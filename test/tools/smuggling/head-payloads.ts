import {
  after,
  chunked,
  END,
  evil,
  type Families,
  head,
  hides,
  maybe,
  post,
  refused,
  show,
  splitAt,
  TE,
} from './payload.ts'

/** What a request line and its headers are, and what follows them. */
export const heads: Families = {
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

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'
