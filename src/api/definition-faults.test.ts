import { expect, test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { parseValue } from './parse-call.ts'
import { ReplaceSchema } from './schemas.ts'

function faultOf(definition: object): string {
  try {
    parseValue(ReplaceSchema, { image: 'ghost', ...definition })
  } catch (error) {
    if (isFailure(error, 'bad-input')) return error.message
    throw error
  }
  return ''
}

for (const path of ['/proc', '/proc/self/mnt', '/sys', '/dev', '/dev/shm'])
  test(`a volume cannot be at ${path}`, () => {
    expect(faultOf({ volume: { size: '1GiB', path } })).toContain("volume.path: is the system's own in every container")
  })

for (const path of ['/data', '/process', '/devices/x', '/srv/dev', '/var/lib/proc'])
  test(`a volume can be at ${path}`, () => expect(faultOf({ volume: { size: '1GiB', path } })).toBe(''))

test('/dev/shm is within the memory', () => {
  expect(faultOf({ limits: { memory: '256MiB', shm: '1GiB' } })).toContain('limits.shm: is more than its memory')
  expect(faultOf({ limits: { shm: '513MiB' } })).toContain('limits.shm: is more than its memory')
  expect(faultOf({ limits: { memory: '256MiB', shm: '256MiB' } })).toBe('')
  expect(faultOf({ limits: { memory: '32MiB' } })).toBe('')
})

test('readiness by the health check of the image takes no more words', () => {
  expect(faultOf({ ready: { kind: 'healthcheck' } })).toBe('')
  expect(faultOf({ ready: { kind: 'started' } })).toBe('')
  expect(faultOf({ ready: { kind: 'healthcheck', path: '/' } })).toContain('ready')
})

test('a command holds no NUL byte, and begins with a program', () => {
  expect(faultOf({ command: ['sh', '-c', 'a\0b'] })).toBe('command.2: cannot hold a NUL byte')
  expect(faultOf({ command: ['', 'x'] })).toContain('command: begins with an empty word')
  expect(faultOf({ command: ['sh', ''] })).toBe('')
})

for (const [image, fault] of [
  ['a/../b', 'image: image "a/../b": ".." is not a part of a name'],
  ['Upper', '"Upper" has capital letters'],
  [':1', 'it has no name before ":"'],
  ['x@sha256:abc', 'is not a digest'],
  ['https://ghcr.io/x/y', 'leave the scheme away'],
  ['', 'it is empty'],
] as const)
  test(`the image ${JSON.stringify(image)} is a fault of the definition`, () =>
    expect(faultOf({ image })).toContain(fault))
