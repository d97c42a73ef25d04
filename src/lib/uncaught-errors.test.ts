import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** Runs code in a process of its own with `handleUncaughtErrors`, and returns the lines that it printed. */
async function inProcess(code: string): Promise<string[]> {
  const script = `
    import { once, EventEmitter } from 'node:events'
    import { createServer } from 'node:http'
    import { connect } from 'node:net'
    import { setImmediate as turn } from 'node:timers/promises'
    import { handleUncaughtErrors, unexpectedErrors } from '${new URL('./uncaught-errors.ts', import.meta.url).href}'
    const quiet = () => undefined
    const error = (event, { origin, cause }) => console.log(event, origin, cause.message)
    handleUncaughtErrors({ log: { debug: quiet, info: quiet, warn: quiet, error }, restart: cause => console.log('restart', cause.message) })
    ${code}
    setTimeout(() => console.log('lives', unexpectedErrors()), 200)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  return stdout.trim().split('\n')
}

test('an error of a socket without a listener is told of and counted', async () => {
  expect(await inProcess(`connect({ path: '/no/such/socket' })`)).toEqual([
    'unexpected error uncaughtException connect ENOENT /no/such/socket',
    'lives 1',
  ])
})

test('so is a promise that fails while nobody waits for it', async () => {
  expect(await inProcess(`Promise.reject(new Error('one')); Promise.reject('two')`)).toEqual([
    'unexpected error unhandledRejection one',
    'unexpected error unhandledRejection two',
    'lives 2',
  ])
})

test('an exception in a callback asks for a restart, once', async () => {
  const throws = (text: string) => `setTimeout(() => { throw new TypeError('${text}') }, 10);`
  expect(await inProcess(`${throws('one')} ${throws('two')}`)).toEqual([
    'unexpected error uncaughtException one',
    'restart one',
    'unexpected error uncaughtException two',
    'lives 2',
  ])
})

test('so does an error event of an emitter of our own, whose code was cut short', async () => {
  expect(await inProcess(`setTimeout(() => new EventEmitter().emit('error', new Error('ours')), 10)`)).toEqual([
    'unexpected error uncaughtException ours',
    'restart ours',
    'lives 1',
  ])
})
