import { expect, test } from 'vitest'
import type { App } from '../../../../model/app.ts'
import { patchOf, textsOf, updateCommand } from './definition-fields.ts'
import { LIMIT_FIELDS, RUN_FIELDS, SLEEP_FIELDS } from './definition-groups.ts'

const ALL = [...RUN_FIELDS, ...LIMIT_FIELDS, ...SLEEP_FIELDS]
const app = {
  name: 'blog',
  task: {
    image: 'ghost:5',
    command: ['node', 'a b.js'],
    port: 2368,
    ready: { kind: 'http', path: '/ready' },
    startWithin: '60s',
    limits: { memory: '512MiB', cpus: 0.5, pids: 512 },
    sleep: {
      idleAfter: '5m',
      grace: '10s',
      webSockets: 'hold',
      dryRun: false,
      idleCheck: { kind: 'command', command: ['sh', '-c', 'test -e /tmp/busy'] },
    },
    egress: ['private', 'db.example.com:5432'],
  },
} as unknown as App

test('fields show what the definition has, and nothing where it has nothing', () => {
  expect(textsOf(app, ALL)).toMatchObject({
    image: 'ghost:5',
    command: "node 'a b.js'",
    port: '2368',
    ready: 'http:/ready',
    'limits.cpus': '0.5',
    'limits.reserve': '',
    'sleep.idleCheck': "command:sh -c 'test -e /tmp/busy'",
    'sleep.dryRun': 'off',
    egress: 'private\ndb.example.com:5432',
    'deploy.sessions': '',
  })
})

test('a port that came from the image is shown as left out', () => {
  expect(textsOf({ ...app, task: { ...app.task, portFrom: 'image' } }, RUN_FIELDS)['port']).toBe('')
})

test('a patch has the changed fields alone, and null for those that were emptied', () => {
  expect(patchOf({ 'limits.cpus': '2', 'limits.reserve': '', port: '' }, ALL)).toEqual({
    port: null,
    limits: { cpus: 2, reserve: null },
  })
  expect(patchOf({}, ALL)).toEqual({})
})

test('a field of another kind is taken away with its kind', () => {
  expect(patchOf({ ready: 'port', 'sleep.idleCheck': 'http:/idle' }, ALL)).toEqual({
    ready: { kind: 'port', path: null, line: null },
    sleep: { idleCheck: { kind: 'http', path: '/idle', command: null } },
  })
})

test('text that is no value is sent as it is, so that the master says what is wrong', () => {
  expect(patchOf({ 'limits.cpus': 'many', ready: 'soon' }, ALL)).toEqual({
    ready: { kind: 'soon', path: null, line: null },
    limits: { cpus: 'many' },
  })
})

test('every text that a field shows is read back as what the definition has', () => {
  const { port: _, ...texts } = textsOf(app, ALL)
  const given = Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ''))
  const { ready, sleep, ...rest } = patchOf(given, ALL) as Record<string, Record<string, unknown>>
  expect(rest).toEqual({
    image: app.task.image,
    command: app.task.command,
    startWithin: app.task.startWithin,
    egress: app.task.egress,
    limits: app.task.limits,
  })
  expect(ready).toMatchObject(app.task.ready)
  expect(sleep).toMatchObject(app.task.sleep)
})

test('the command has a flag for each change, and the words of the command behind --', () => {
  const changed = { command: "node 'c d.js'", 'limits.memory': '1GiB', egress: 'private\n10.0.0.1:1', 'sleep.cpu': '' }
  expect(updateCommand('blog', changed, ALL)).toEqual({
    command: "shadow update blog --egress private --egress 10.0.0.1:1 --memory 1GiB --sleep-cpu none -- node 'c d.js'",
    without: [],
  })
  expect(updateCommand('blog', { command: '', 'limits.reserve': '', egress: '' }, ALL)).toEqual({
    command: 'shadow update blog --no-command --egress internet',
    without: ['Free memory to wake'],
  })
})
