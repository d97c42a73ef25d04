import { expect, test } from 'vitest'
import { commandOf, manifestOf } from './commands.ts'
import { definitionOf, EMPTY } from './definition.ts'
import { faultWhileTyped } from './faults.ts'

test('a value of a secret is in no command and in no file', () => {
  const values = { ...EMPTY, name: 'blog', image: 'ghost', secrets: 'KEY=hunter2' }
  expect(commandOf(values)).toMatch(/ && shadow secrets set blog KEY$/)
  expect(manifestOf(values)).toContain('# shadow secrets set blog KEY')
  expect(commandOf(values) + manifestOf(values)).not.toContain('hunter2')
})

test('what was typed as a number and is none goes to the master as it is', () => {
  const { port, limits } = definitionOf({ ...EMPTY, port: 'http', 'limits.cpus': 'half' })
  expect([port, limits?.cpus]).toEqual(['http', 'half'])
})

for (const [name, good, bad] of [
  ['name', 'my-blog', 'My blog'],
  ['port', '8080', '70000'],
  ['volume.size', '1.5GiB', '1'],
  ['limits.memory', '512m', 'much'],
  ['limits.cpus', '0.5', 'half'],
  ['sleep.idleAfter', '1h30m', '5'],
  ['volume.path', '/data', 'data'],
  ['command', 'sh -c "a | b"', 'a | b'],
  ['env', 'A=\nB=x=y', 'A=1\nB'],
] as const)
  test(`a fault of ${name} is told while it is typed`, () => {
    expect(faultWhileTyped(name, good)).toBeUndefined()
    expect(faultWhileTyped(name, bad)).toBeTypeOf('string')
    expect(faultWhileTyped(name, '')).toBeUndefined()
  })
