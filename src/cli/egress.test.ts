import assert from 'node:assert/strict'
import { test } from 'vitest'
import { egress } from '../model/egress.ts'
import { shadow } from '../testing/cli.ts'
import { anApp } from '../testing/fake-app.ts'

const reaching = (...list: string[]) => {
  const app = anApp()
  return { ...app, task: { ...app.task, ...(list.length > 0 && { egress: list.map(egress) }) } }
}

/** The list that the command asks for, of an app with this list. */
async function change(line: string, ...before: string[]) {
  const app = reaching(...before)
  const { exit, terminal, calls } = await shadow(`egress ${line}`, { getApp: () => app, updateApp: () => app })
  const sent = calls.find(({ name }) => name === 'updateApp')
  return { exit, said: terminal.stderr, sent: sent?.body as { egress?: string[] } | undefined }
}

test('shadow egress ls prints the list, and says where the internet is open', async () => {
  const kept = await shadow('egress ls blog', { getApp: () => reaching('api.example.com', '10.0.0.5:5432') })
  assert.equal(kept.terminal.stdout, 'api.example.com\n10.0.0.5:5432\n')
  assert.equal(kept.terminal.stderr, '')
  const open = await shadow('egress ls blog', { getApp: () => reaching() })
  assert.deepEqual([open.terminal.stdout, open.terminal.stderr], ['', 'blog reaches the internet\n'])
})

test('shadow egress add adds to the list, and nothing twice', async () => {
  const { sent } = await change('add blog API.example.com *.example.org', 'api.example.com', 'private')
  assert.deepEqual(sent?.egress, ['api.example.com', 'private', '*.example.org'])
  const { exit, said } = await change('add blog internet', 'api.example.com')
  assert.equal(exit, 2, said)
  assert.match(said, /shadow update blog --egress internet/)
})

test('shadow egress rm takes away what is there, and never opens the internet', async () => {
  const list = ['api.example.com', 'www.example.com', 'private']
  assert.deepEqual((await change('rm blog www.example.com', ...list)).sent?.egress, ['api.example.com', 'private'])
  assert.deepEqual((await change('rm blog www.example.com', 'www.example.com', 'private')).sent?.egress, [
    'none',
    'private',
  ])
  const { exit, said, sent } = await change('rm blog evil.example', ...list)
  assert.deepEqual([exit, sent], [3, undefined])
  assert.match(said, /evil\.example is not among what it may reach/)
})
