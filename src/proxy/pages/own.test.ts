import assert from 'node:assert/strict'
import { test } from 'vitest'
import { type FailureCode, ShadowError } from '../../lib/errors.ts'
import { pageHtml } from '../../model/own-pages.ts'
import { ownPage } from './own.ts'

const HTML =
  '<!doctype html><title>{{title}}</title><p>{{ app }} {{status}} {{code}} {{id}} {{other}}</p><script>steal()</script>'
const of = (code: FailureCode, pages = { waiting: HTML, error: HTML }) =>
  ownPage(pages, { app: 'blog', error: new ShadowError(code, 'at 10.0.0.7'), id: '7', eventsPath: '/.shadow/wake' })

test('placeholders are filled, other braces stay, and nothing of a daemon is said', () => {
  const page = of('app-crashed')
  assert.match(
    page?.body ?? '',
    /<title>This site does not work now<\/title><p>blog 502 app-crashed 7 \{\{other\}\}<\/p>/,
  )
  assert.doesNotMatch(page?.body ?? '', /10\.0\.0\.7/)
})

test('its scripts do not run: the policy of an error page has none, that of a waiting page only the one of the front', () => {
  const policy = (page: ReturnType<typeof of>): string => page?.headers['content-security-policy'] ?? ''
  assert.match(
    policy(of('app-crashed')),
    /^default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'/,
  )
  assert.doesNotMatch(policy(of('app-crashed')), /script-src|connect-src|https?:/)
  const waiting = of('app-waking')
  assert.match(policy(waiting), /script-src 'sha256-[^']+'; connect-src 'self'$/)
  assert.match(waiting?.body ?? '', /new EventSource\("\/\.shadow\/wake"\)/)
})

for (const [code, has] of [
  ['app-asleep', true],
  ['app-not-ready', true],
  ['no-node', true],
  ['not-allowed', false],
  ['rate-limited', false],
  ['bad-input', false],
] as const)
  test(`${code} ${has ? 'has' : 'does not have'} the page of the app`, () => {
    assert.equal(of(code) !== undefined, has)
  })

test('an app without a page of the kind has none', () => {
  assert.equal(of('app-waking', { error: HTML } as never), undefined)
  assert.equal(of('app-crashed', { waiting: HTML } as never), undefined)
})

for (const [text, says] of [
  ['hello', /begins with <!doctype html>/],
  ['{"a": 1}', /begins with/],
  [`<!doctype html>${'x'.repeat(40_000)}`, /32768 bytes at most, and this one has 40015/],
  ['<!doctype html>\0', /without NUL/],
] as const)
  test(`${text.slice(0, 20)} is no page`, () => {
    assert.throws(() => pageHtml(text), says)
  })

test('a page may begin with a mark of the byte order, and in any case', () => {
  for (const text of ['\uFEFF<!DOCTYPE HTML><p>', ' <html lang="en">']) assert.equal(pageHtml(text), text)
})
