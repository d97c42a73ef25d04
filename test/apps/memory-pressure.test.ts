import assert from 'node:assert/strict'
import { totalmem } from 'node:os'
import { describe, test } from 'vitest'
import { readMemory, readMemoryStalls } from '../../src/lib/memory.ts'
import { PressureLevel } from '../../src/nodeproxy/pressure/pressure-level.ts'
import { memoryStalls } from '../tools/memory-stalls.ts'
import { Shadow } from '../tools/shadow.ts'
import { zramSwap } from '../tools/zram.ts'

/** A node with this floor counts its machine as short of memory, whatever that has. */
const SHORT = { SHADOW_MEMORY_FLOOR: '100%' }

const bootOf = async (shadow: Shadow, app: string): Promise<string> => JSON.parse((await shadow.ask(app)).text).boot.id

const logOf = async (shadow: Shadow, app: string): Promise<string> =>
  (await shadow.logs(app)).map(({ line }) => line).join('\n')

describe('where the machine is short of memory', () => {
  test('the app that nobody has used for longest sleeps, one in use goes on, and nothing is lost', async () => {
    await using shadow = await Shadow.start({ env: SHORT })
    for (const name of ['old', 'young', 'busy']) await shadow.register(name, { volume: { size: '16MiB' } })
    await shadow.ask('busy', '/files/page', { method: 'PUT', body: 'kept by busy' })
    const socket = await shadow.webSocket('busy')
    const before = await shadow.instance('busy')
    await shadow.ask('old', '/files/page', { method: 'PUT', body: 'kept by old' })
    await shadow.pass(20_000)
    await shadow.ask('young')
    await shadow.pass(20_000)
    const { stoppedBy } = await shadow.until('old', 'asleep')
    assert.equal(stoppedBy, 'memory')
    assert.deepEqual(await shadow.containers('old'), [])
    assert.equal((await shadow.instance('young')).phase, 'awake')
    await shadow.pass(20_000)
    await shadow.until('young', 'asleep')
    const { phase, container } = await shadow.instance('busy')
    assert.deepEqual([phase, container], ['awake', before.container])
    socket.close()
    await shadow.until('busy', ({ holds }) => holds.length === 0)

    assert.equal((await shadow.ask('old', '/files/page')).text, 'kept by old')
    assert.equal((await shadow.ask('busy', '/files/page')).text, 'kept by busy')
    assert.match(await logOf(shadow, 'old'), /going to sleep: memory\n(.*\n)?asleep: memory/)
    const { items } = await shadow.admin.call('getTimeline', { params: { app: 'old' }, query: { kind: 'sleep' } })
    assert.deepEqual(
      items.map(({ by }) => by),
      ['memory'],
    )

    // It came back at once, so it is spared, while another one gives way again.
    await shadow.pass(60_000)
    await shadow.until('busy', 'asleep')
    assert.equal((await shadow.instance('old')).phase, 'awake')
  })

  test('it is suspended where there is swap, and keeps what it has in its memory', async context => {
    await using swap = await zramSwap()
    if (swap === undefined) return context.skip('this machine cannot have swap in zram')
    await using shadow = await Shadow.start({ env: SHORT })
    await shadow.register('blog', { volume: { size: '16MiB' } })
    const boot = await bootOf(shadow, 'blog')
    await shadow.pass(40_000)
    const { frozenBy } = await shadow.until('blog', 'suspended')
    assert.equal(frozenBy, 'memory')
    assert.equal(await bootOf(shadow, 'blog'), boot)
    assert.match(await logOf(shadow, 'blog'), /frozen: memory\n.*suspended: memory\n.*thawed after/)
  })
})

test('while one waits for memory at a limit of its own, apps go on: nobody can help that by sleeping, unless the machine has little left', async context => {
  await using shadow = await Shadow.start()
  await shadow.register('blog', { volume: { size: '16MiB' }, sleep: { idleAfter: '1h' } })
  await shadow.ask('blog')
  await using stalls = await memoryStalls(20)
  if (stalls === undefined) return context.skip('this machine cannot have a process that waits for memory')
  await shadow.pass(60_000)
  assert.equal((await shadow.instance('blog')).phase, 'awake')
  const memory = { ...readMemory(), availableBytes: 0.2 * totalmem() }
  const floor = { share: 0.05 }
  assert.equal(new PressureLevel(floor).look({ memory: readMemory(), stalls: readMemoryStalls() }), undefined)
  const shortage = new PressureLevel(floor).look({ memory, stalls: readMemoryStalls() })
  assert.match(shortage?.why ?? '', /^processes waited for memory for [2-9]\d\.?\d* % of the time$/)
})

test('where the machine is short of memory, the container of a parked app goes first', async () => {
  await using shadow = await Shadow.start({ env: SHORT })
  for (const name of ['parked', 'idle']) await shadow.register(name, { volume: { size: '16MiB' } })
  await shadow.ask('parked', '/files/page', { method: 'PUT', body: 'kept' })
  await shadow.ask('idle')
  await shadow.admin.call('sleepApp', { params: { app: 'parked' }, query: { to: 'parked' } })
  await shadow.eventually(async () => (await shadow.containers('parked')).length === 0)
  assert.equal((await shadow.instance('idle')).phase, 'awake')
  assert.equal((await shadow.ask('parked', '/files/page')).text, 'kept')
})

test('a suspended app leaves its room to others, and takes it again before it goes on', async context => {
  await using swap = await zramSwap()
  if (swap === undefined) return context.skip('this machine cannot have swap in zram')
  await using shadow = await Shadow.start({ env: { SHADOW_MEMORY_OVERCOMMIT: '4' } })
  // There is room for one of them.
  const memory = `${Math.ceil((4 * 0.52 * totalmem()) / 2 ** 20)}MiB`
  for (const name of ['first', 'second']) await shadow.register(name, { limits: { memory } })
  const boot = await bootOf(shadow, 'first')
  await shadow.admin.call('sleepApp', { params: { app: 'first' }, query: { to: 'suspended' } })
  const socket = await shadow.webSocket('second')
  assert.equal((await shadow.instance('first')).phase, 'suspended', 'it need not sleep for that')
  const refused = await shadow.ask('first')
  assert.deepEqual([refused.status, refused.headers['x-shadow-error']], [503, 'no-memory'])
  socket.close()
  await shadow.until('second', ({ holds }) => holds.length === 0)
  assert.equal(await bootOf(shadow, 'first'), boot)
  assert.equal((await shadow.until('second', 'asleep')).stoppedBy, 'room')
})

test('an app that is kept frozen is so after its idle time, for as long as it is not used, and again after a restart', async () => {
  await using shadow = await Shadow.start()
  await shadow.register('blog', { sleep: { keep: 'frozen', idleAfter: '1m' } })
  const boot = await bootOf(shadow, 'blog')
  await shadow.pass(60_000)
  await shadow.until('blog', 'frozen')
  await shadow.pass(600_000)
  const { phase, sleepsAt } = await shadow.instance('blog')
  assert.deepEqual([phase, sleepsAt], ['frozen', null])
  assert.equal(await bootOf(shadow, 'blog'), boot)
  await shadow.stop()
  await shadow.startAgain()
  await shadow.pass(60_000)
  await shadow.until('blog', 'frozen')
  assert.equal(await bootOf(shadow, 'blog'), boot)
})
