import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'vitest'
import { prettyLine } from './log-pretty.ts'

const MODULE = new URL('./log.ts', import.meta.url)
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** A shell command that runs a program which logs; `script` gives it a real terminal. */
const program = (options: string): string => {
  const log = `import { openLog } from ${JSON.stringify(MODULE.href)}; const log = openLog({ name: 'test', level: 'debug', ${options} })`
  const lines = `log.info('app awake', { app: 'blog', ms: 131 }); log.error('app stuck', { cause: new Error('no\\x1b[2J') })`
  return `exec '${process.execPath}' --input-type=module --eval "${`${log}; ${lines}`.replaceAll(/["\\$]/g, '\\$&')}"`
}
const shell = (command: string): string => execFileSync('sh', ['-c', `${command} 2>&1`], { encoding: 'utf8' })
const onTerminal = (options: string): string =>
  execFileSync('script', ['--quiet', '--command', program(options), '/dev/null'], { encoding: 'utf8' }).replaceAll(
    '\r\n',
    '\n',
  )

test('in a pipe each line is JSON, with the time in ISO 8601 and the level as a word', () => {
  const lines = shell(program('colours: true')).trimEnd().split('\n')
  const [awake, stuck] = lines.map(line => JSON.parse(line))
  assert.equal(lines.length, 2)
  assert.match(awake.time, ISO)
  assert.deepEqual(
    [awake.level, awake.name, awake.msg, awake.app, awake.ms],
    ['info', 'test', 'app awake', 'blog', 131],
  )
  assert.deepEqual([stuck.level, stuck.cause.message], ['error', 'no\x1b[2J'])
})

test('on a terminal it is for people: time, level, event, fields, and the stack below', () => {
  const [awake = '', stuck = '', error = '', at = ''] = onTerminal('').split('\n')
  assert.match(awake, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z INFO {2}app awake app=blog ms=131$/)
  assert.match(stuck, /Z ERROR app stuck$/)
  assert.equal(error, '    Error: no\\x1b[2J')
  assert.match(at, /^ {8}at /)
})

test('on a terminal that allows them, level and time have colours', () => {
  const shown = onTerminal('colours: true').replaceAll('\x1b', '<ESC>')
  assert.match(shown, /^<ESC>\[2m[^<]+<ESC>\[0m <ESC>\[32mINFO <ESC>\[0m app awake/)
})

test('on a terminal, json gives JSON', () => {
  const [line = ''] = onTerminal('json: true, colours: true').split('\n')
  assert.equal(JSON.parse(line).msg, 'app awake')
})

const LINE = { time: '2026-01-01T00:00:00.000Z', level: 'info', name: 'n', pid: 1, hostname: 'h', msg: 'seen' }
for (const [fields, shown] of [
  [{ path: '/a?b=c d' }, 'path="/a?b=c d"'],
  [{ line: 'x\nforged line' }, 'line="x\\nforged line"'],
  [{ app: '\u001b[2J' }, 'app=\\x1b[2J'],
  [{ steps: { start: 1 }, held: ['a'], none: null }, 'steps={"start":1} held=["a"] none=null'],
  [{ empty: '' }, 'empty=""'],
] as const)
  test(`the fields ${JSON.stringify(fields)} are told as ${shown}, on one line`, () => {
    assert.equal(
      prettyLine(JSON.stringify({ ...LINE, ...fields }), false),
      `2026-01-01 00:00:00.000Z INFO  seen ${shown}\n`,
    )
  })
