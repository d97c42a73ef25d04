import { expect, test } from 'vitest'
import { envCommand, pastedVariables, secretsCommand, variableChanges } from './variable-changes.ts'

test('a marked variable has its new value, an empty one too, and a removed one is null', () => {
  const typed = {
    'set.A': true,
    'value.A': 'x',
    'set.B': true,
    'unset.C': true,
    'set.D': false,
    'value.E': 'y',
    'unset.F': false,
  }
  expect(variableChanges(typed)).toEqual({ A: 'x', B: '', C: null })
})

test('pasted lines are variables, with quotes taken off', () => {
  expect(pastedVariables('# mail\nexport FROM="a b"\r\n\nURL=http://x?a=b\nEMPTY=\n')).toEqual([
    ['FROM', 'a b'],
    ['URL', 'http://x?a=b'],
    ['EMPTY', ''],
  ])
})

test('text that is no list of variables is pasted as it is', () => {
  expect(pastedVariables('MAIL_FROM')).toEqual([])
  expect(pastedVariables('A=b\nnot a variable')).toEqual([])
})

test('the commands', () => {
  const changes = { A: "it's", B: null }
  expect(envCommand('blog', changes)).toBe("shadow update blog --env 'A=it'\\''s' --unset-env B")
  expect(secretsCommand('blog', changes, true)).toBe(
    'shadow secrets set blog A --stage && shadow secrets unset blog B --stage',
  )
  expect(secretsCommand('blog', {}, false)).toBe('shadow secrets set blog NAME')
})
