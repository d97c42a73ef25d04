import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { gateCommand } from './gate-command.ts'

const GIVEN: Parameters<typeof gateCommand>[0] = {
  image: { Entrypoint: ['/run-it'], Cmd: ['of', 'image'] },
  command: undefined,
  environ: ['PATH=/bin:/usr/bin', 'HOSTNAME=abc', 'HOME=/root', 'A=image'],
  env: ['A=definition', 'PORT=8000'],
  workdir: '/',
  volumePath: undefined,
}
const command = (changes: Partial<typeof GIVEN> = {}) => gateCommand({ ...GIVEN, ...changes })

describe('what a parked container becomes', () => {
  test('is the entrypoint of the image with its command, or that of the definition', () => {
    assert.deepEqual(command().args, ['/run-it', 'of', 'image'])
    assert.deepEqual(command({ command: ['mine'] }).args, ['/run-it', 'mine'])
    assert.deepEqual(command({ image: { Entrypoint: null, Cmd: null }, command: ['x'] }).args, ['x'])
  })

  test('has the variables of the definition over those of the image, in their places', () => {
    const { env } = command()
    assert.deepEqual(env, ['PATH=/bin:/usr/bin', 'HOSTNAME=abc', 'HOME=/root', 'A=definition', 'PORT=8000'])
  })

  test('is looked for in the PATH that the app has, unless it is a path', () => {
    assert.deepEqual(command().programs, ['/run-it'])
    const named = { image: { Cmd: ['httpd'] } }
    assert.deepEqual(command(named).programs, ['/bin/httpd', '/usr/bin/httpd'])
    assert.deepEqual(command({ ...named, env: ['PATH=/opt::/x'] }).programs, ['/opt/httpd', 'httpd', '/x/httpd'])
    assert.deepEqual(command({ image: { Cmd: ['./httpd'] } }).programs, ['./httpd'])
  })

  test('enters its working directory again if that is where its volume is mounted', () => {
    assert.equal(command({ workdir: '/data', volumePath: '/data' }).folder, '/data')
    assert.equal(command({ workdir: '/srv', volumePath: '/data' }).folder, undefined)
    assert.equal(command({ workdir: '/' }).folder, undefined)
  })
})
