import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { expect, test } from 'vitest'
import { Shadow } from '../tools/shadow.ts'

test('three apps of most of the memory: idle ones make room, and without such the wake is refused with what is missing', async () => {
  await using shadow = await Shadow.start({ env: { SHADOW_MEMORY_OVERCOMMIT: '1' } })
  const memory = `${Math.floor((0.7 * totalmem()) / 2 ** 20)}MiB`
  for (const app of ['one', 'two', 'three']) await shadow.register(app, { limits: { memory, reserve: '600MiB' } })
  for (const app of ['one', 'two', 'three']) await shadow.wake(app)
  for (const app of ['one', 'two', 'three']) {
    await shadow.sleep(app)
    await shadow.admin.call('updateApp', { params: { app }, body: { limits: { reserve: null } } })
  }

  expect((await shadow.ask('one')).status).toBe(200)
  expect((await shadow.ask('two')).status).toBe(200)
  const { phase, stoppedBy } = await shadow.until('one', 'asleep')
  expect([phase, stoppedBy]).toEqual(['asleep', 'room'])

  const open = await shadow.webSocket('two')
  const { status, json } = await shadow.ask('three')
  expect([status, json.code]).toEqual([503, 'no-memory'])
  expect(open.readyState).toBe(1)
  open.terminate()
  expect((await shadow.instance('two')).phase).toBe('awake')
}, 60_000)

test('the kernel takes an app before it takes a daemon', async () => {
  await using shadow = await Shadow.start()
  await shadow.register('blog')
  await shadow.wake('blog')
  const [id = ''] = await shadow.containers('blog')
  const pid = execFileSync('docker', ['inspect', '--format', '{{.State.Pid}}', id], { encoding: 'utf8' }).trim()
  const score = (of: string) => Number(readFileSync(`/proc/${of}/oom_score_adj`, 'utf8'))
  expect(score(pid)).toBeGreaterThan(score('self') + 100)
}, 60_000)
