import assert from 'node:assert/strict'
import { test } from 'vitest'
import { isFailure } from '../lib/errors.ts'
import { appOf, instanceId, isInstanceId, isPlain, logFields, parseInstanceId } from './instance-id.ts'
import { appName, isAppName } from './names.ts'

const blog = appName('blog')

test('the plain instance of an app has the name of the app for its id', () => {
  const id = instanceId(blog)
  assert.equal(id, 'blog')
  assert.equal(isPlain(id), true)
  assert.deepEqual(logFields(id), { app: 'blog' })
})

test('one of several instances has the name of the app and its slot for its id', () => {
  const id = instanceId(blog, '2')
  assert.equal(id, 'blog.2')
  assert.equal(isPlain(id), false)
  assert.equal(appOf(id), 'blog')
  assert.deepEqual(logFields(id), { app: 'blog', instance: 'blog.2' })
})

for (const text of ['blog', 'a', 'blog.b', 'blog.1', 'my-blog.new-1', `${'a'.repeat(63)}.${'b'.repeat(32)}`])
  test(`"${text.slice(0, 20)}" (${text.length} characters) is an id, read in one way`, () => {
    assert.equal(isInstanceId(text), true)
    const id = parseInstanceId(text)
    assert.equal(id, text)
    const slot = isPlain(id) ? undefined : text.slice(appOf(id).length + 1)
    assert.equal(instanceId(appOf(id), slot), text)
  })

for (const text of [
  '',
  '.',
  'blog.',
  '.b',
  'blog.b.c',
  'blog..b',
  'Blog',
  'blog.B',
  'blog._',
  'blog.-b',
  'blog.b-',
  '../x',
  'blog/b',
  `blog.${'b'.repeat(33)}`,
])
  test(`"${text.slice(0, 20)}" (${text.length} characters) is no id`, () => {
    assert.equal(isInstanceId(text), false)
    assert.throws(
      () => parseInstanceId(text),
      error => isFailure(error, 'bad-input'),
    )
  })

test('no id of one of several is the name of an app', () => {
  assert.equal(isAppName(instanceId(blog, 'b')), false)
})

test('a slot that is no label is refused with what is wrong and where', () => {
  assert.throws(() => instanceId(blog, 'b.c'), /slot "b\.c" of an instance of blog: "\." at position 1/)
})
