import { describe, expect, test } from 'vitest'
import { ShadowError } from './errors.ts'
import { listenAddress, oneOf, optionalSetting, readSettings, setting, text, url, wholeNumber } from './settings.ts'

const table = {
  listen: setting('X_LISTEN', listenAddress('127.0.0.1'), { default: '8080', help: 'where it listens' }),
  token: setting('X_TOKEN', text, { help: 'who it is' }),
  most: setting('X_MOST', wholeNumber(1, 10), { default: '5', help: 'how many' }),
  mode: optionalSetting('X_MODE', oneOf('fast', 'safe'), { help: 'how' }),
}

test('settings come from flags, then the environment, then their defaults', () => {
  expect(readSettings(table, { X_TOKEN: 'a', X_MOST: '7', X_MODE: '' }, { most: '9' })).toEqual({
    listen: { host: '127.0.0.1', port: 8080 },
    token: 'a',
    most: 9,
  })
})

test('all faults are told at once, each under the name it was given by', () => {
  const read = () => readSettings(table, { X_MODE: 'slow', X_LISTEN: 'nowhere' }, { most: '11' })
  expect(read).toThrow(ShadowError)
  try {
    read()
  } catch (error) {
    expect((error as ShadowError).details.faults?.map(({ field }) => field)).toEqual([
      'X_LISTEN',
      'X_TOKEN',
      '--most',
      'X_MODE',
    ])
  }
})

describe('an address to listen on', () => {
  for (const [value, host, port] of [
    ['80', 'here', 80],
    ['0.0.0.0:0', '0.0.0.0', 0],
    ['[::1]:443', '::1', 443],
  ] as const)
    test(`${value} is ${host}, port ${port}`, () => expect(listenAddress('here')(value)).toEqual({ host, port }))
  for (const value of ['', 'host', 'host:', '1:2:3', '99999', ':80'])
    test(`"${value}" is none`, () => expect(() => listenAddress('here')(value)).toThrow('not an address'))
})

test('a URL is http or https, and loses its last slash', () => {
  expect(url('https://a.b/c/')).toBe('https://a.b/c')
  for (const value of ['a.b', 'ftp://a', '']) expect(() => url(value)).toThrow('not an http')
})

test('a URL with a password, or what may be one, is refused and not repeated', () => {
  for (const value of ['https://user:hush@a.b', 'https//user:hush@a.b', 'user:hush@a.b']) {
    expect(() => url(value)).toThrow(/user or a password|not an http/)
    expect(() => url(value)).not.toThrow(/hush/)
  }
})

test('an error of a parser that is not ours is a fault of its setting, told with the others', () => {
  const broken = (value: string): string => {
    throw new URIError(`malformed: ${value}`)
  }
  const faulty = { ...table, broken: setting('X_BROKEN', broken, { help: 'breaks' }) }
  expect(() => readSettings(faulty, { X_BROKEN: 'hush', X_MOST: '11' })).toThrow(
    /X_TOKEN.*X_MOST.*X_BROKEN: cannot be read$/s,
  )
})
