import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { readDotEnv } from './dotenv.ts'

const read = (text: string) => {
  const { variables, faults, notes } = readDotEnv(text)
  return { variables: Object.fromEntries(variables), faults: faults.map(({ field }) => field), notes }
}

describe('a .env file', () => {
  test('may have comments, empty lines, export, quotes, and values over several lines', () => {
    const text = [
      '# for the blog',
      '',
      'PLAIN=a b',
      'export EXPORTED=1',
      "SINGLE='a #b'",
      'DOUBLE="x\\ny"',
      'KEY="-----BEGIN',
      'not=a name',
      '-----END"',
      'EMPTY=',
      'LAST = spaced',
    ].join('\n')
    assert.deepEqual(read(text), {
      variables: {
        PLAIN: 'a b',
        EXPORTED: '1',
        SINGLE: 'a #b',
        DOUBLE: 'x\ny',
        KEY: '-----BEGIN\nnot=a name\n-----END',
        EMPTY: '',
        LAST: 'spaced',
      },
      faults: [],
      notes: [],
    })
  })

  test('with lines that are no variables is refused, each by its number, and none of their text is repeated', () => {
    const { faults } = readDotEnv('A=1\nhunter2\n=b\nB="open')
    assert.deepEqual(
      faults.map(({ field }) => field),
      ['line 2', 'line 3', 'line 4'],
    )
    assert.doesNotMatch(JSON.stringify(faults), /hunter2|open/)
  })

  test('of which a value ends at a # says so, because it may belong to a password', () => {
    assert.deepEqual(read('PASSWORD=abc#def').notes, [
      'line 1: the value of PASSWORD ends at the #; quote it if the # belongs to it',
    ])
  })

  test('may have the line ends of Windows', () => {
    assert.deepEqual(read('A=1\r\nB=2\r\n').variables, { A: '1', B: '2' })
  })
})
