import { expect, test } from 'vitest'
import { ShadowError } from '../lib/errors.ts'
import { normalisedPath } from './normalised-path.ts'
import { answerPath, compileRules, ignoreRule, sayRule } from './wake-rules.ts'

const request = (method: string, target: string, agent = '', client = '203.0.113.7') => ({
  method,
  target,
  agent: () => agent,
  isIn: (network: string) => network === client,
})

const failure = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    if (error instanceof ShadowError) return error.message
    throw error
  }
  return 'did not fail'
}

for (const [text, said] of [
  ['path:/wp-*', 'path:/wp-*'],
  ['method:head path:/', 'path:/ method:HEAD'],
  ['agent:Mozilla/5.0 (compatible; Bot/1.0) method:GET', 'agent:Mozilla/5.0 (compatible; Bot/1.0) method:GET'],
  ['network:10.0.0.0/8', 'network:10.0.0.0/8'],
] as const)
  test(`the rule "${text}" is read as "${said}"`, () => {
    expect(sayRule(ignoreRule(text))).toBe(said)
  })

for (const [text, why] of [
  ['', 'is not a rule; write it like path:/wp-*'],
  ['wp-login', 'is not a rule'],
  ['path:', 'path takes 1 to 200 characters'],
  ['path:wp', 'begins with neither / nor *'],
  ['path:/a%20b', 'has one of ? # % \\'],
  ['path:/a path:/b', 'has path twice'],
  ['method:G E T', 'is no method of HTTP'],
  ['network:10.0.0.1/8', 'write 10.0.0.0/8'],
  [`agent:${'a'.repeat(201)}`, 'agent takes 1 to 200 characters'],
] as const)
  test(`the rule "${text.slice(0, 20)}" is refused: ${why}`, () => {
    expect(failure(() => ignoreRule(text))).toContain(why)
  })

for (const path of ['robots.txt', '/a?b', '/a%20', '/a*', '/a//b', '/../a', '/.', ''])
  test(`"${path}" is refused as the path of an answer that is kept`, () => {
    expect(failure(() => answerPath(path))).not.toBe('did not fail')
  })

for (const [target, path] of [
  ['/', '/'],
  ['/wp-login.php?a=/b', '/wp-login.php'],
  ['/wp-log%69n.php', '/wp-login.php'],
  ['//wp-login.php', '/wp-login.php'],
  ['/./a/../wp-login.php', '/wp-login.php'],
  ['/a/%2e%2e/wp-login.php', '/wp-login.php'],
  ['/a%2Fb', '/a/b'],
  ['/a\\b', '/a/b'],
  ['/%5c/b', '/b'],
  ['/../../a', '/a'],
  ['/a/', '/a/'],
  ['/a/.', '/a/'],
  ['/a/..', '/'],
  ['/caf%C3%A9', '/café'],
  ['/caf\xc3\xa9', '/café'],
  ['/%zz', '/%zz'],
  ['/%252e', '/%2e'],
  ['*', '*'],
] as const)
  test(`rules see the target "${target}" as "${path}"`, () => {
    expect(normalisedPath(target)).toBe(path)
  })

test('the first rule that matches is named, and a rule matches only with all its fields', () => {
  const ignored = compileRules(
    ['path:/wp-*', 'method:HEAD path:/', 'agent:curl*bot', 'network:203.0.113.9'].map(text => ignoreRule(text)),
  )
  expect(ignored(request('GET', '/%77p-login.php'))).toBe('path:/wp-*')
  expect(ignored(request('HEAD', '/'))).toBe('path:/ method:HEAD')
  expect(ignored(request('HEAD', '/about'))).toBe(undefined)
  expect(ignored(request('GET', '/'))).toBe(undefined)
  expect(ignored(request('GET', '/', 'a Curl/8 evilBOT/1'))).toBe('agent:curl*bot')
  expect(ignored(request('GET', '/', '', '203.0.113.9'))).toBe('network:203.0.113.9')
})
