import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { storagePlace } from './place.ts'

describe('the place of a storage', () => {
  test('directory:PATH is a directory, made absolute', () => {
    assert.deepEqual(storagePlace('directory:/srv/store'), { kind: 'directory', path: '/srv/store' })
    assert.deepEqual(storagePlace('directory:store'), { kind: 'directory', path: `${process.cwd()}/store` })
  })

  test('a URL is a bucket, its key and secret decoded', () => {
    assert.deepEqual(storagePlace('http://key:se%2Fcret@127.0.0.1:9000/shadow?region=eu-1'), {
      kind: 's3',
      endpoint: 'http://127.0.0.1:9000',
      bucket: 'shadow',
      region: 'eu-1',
      credentials: { accessKeyId: 'key', secretAccessKey: 'se/cret' },
    })
  })

  test('a bucket of AWS needs neither credentials nor region: they are found', () => {
    assert.deepEqual(storagePlace('https://s3.eu-central-1.amazonaws.com/shadow'), {
      kind: 's3',
      endpoint: 'https://s3.eu-central-1.amazonaws.com',
      bucket: 'shadow',
      region: 'eu-central-1',
      credentials: undefined,
    })
  })

  for (const text of [
    'directory:',
    '/srv/store',
    's3://bucket',
    'http://host/',
    'http://key@host/bucket',
    'http://key:secret@host/Bucket',
    'nonsense',
    'https://KEY:12/secret@host/bucket',
    'https://KEY:12#secret@host/bucket',
    'https://KEY:secret%zz@host/bucket',
    'https://KEY:%@host/secret',
    'https://KEY:secret/x@host/bucket',
    'https://KEY:secret?x@host/bucket#secret',
  ])
    test(`"${text}" is no place, and the fault shows no secret`, () => {
      assert.throws(
        () => storagePlace(text),
        error => isFailure(error, 'bad-input') && !/secret[@/%?]|"secret|secret$/.test(error.message),
      )
    })
})
