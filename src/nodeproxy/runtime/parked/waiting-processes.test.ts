import assert from 'node:assert/strict'
import { test } from 'vitest'
import { mountinfo } from '../../filesystem/mountinfo.ts'
import { deviceAt, deviceHere, environOf, hasNetwork, mountsAt, ownOf, waitsAt } from './waiting-processes.ts'

test('the device of a mount is the same by its folder and by the mounts of a process, and none elsewhere', async () => {
  assert.ok((await mountinfo()).some(({ at }) => at === '/proc'))
  assert.equal(await deviceHere('/proc'), await deviceAt(process.pid, '/proc'))
  assert.equal(await deviceHere('/proc/self'), undefined)
  assert.equal(await deviceAt(process.pid, '/proc/self'), undefined)
  assert.equal(await mountsAt(process.pid, '/proc/self'), 0)
})

test('a process that runs something else does not wait, nor does one that has ended', async () => {
  assert.deepEqual([waitsAt(process.pid), waitsAt(2 ** 22)], [false, false])
})

test('this machine has a network beside its loopback', async () => assert.equal(hasNetwork(process.pid), true))

test('what belongs to a user and a machine is not given to commands of other users', async () => {
  assert.ok((await environOf(process.pid)).every(variable => variable.includes('=')))
  assert.deepEqual(ownOf(['A=1', 'HOME=/root', 'HOSTNAME=abc', 'cut off']), ['A=1'])
})
