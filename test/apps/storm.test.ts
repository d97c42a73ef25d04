import assert from 'node:assert/strict'
import { test } from 'vitest'
import { busyboxImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

const APPS = 30
// A start that takes a second gives its turn to another one; a slow machine has several of those.
const TURN_MS = 900

test('many apps that are asked for the first time at once are all served, few at a time', {
  timeout: 300_000,
}, async () => {
  await using shadow = await Shadow.start({ env: { SHADOW_STARTS_AT_ONCE: '3' } })
  const image = await busyboxImage()
  const command = ['httpd', '-f', '-p', '8000', '-h', '/data']
  const apps = Array.from({ length: APPS }, (_, number) => `storm-${number}`)
  for (const app of apps)
    await shadow.register(app, { image, command, volume: { size: '16MiB' }, limits: { memory: '16MiB' } })
  const starting = new Map<string, number>()
  let most = 0
  shadow.onStep = (instance, step, when) => {
    if (step !== 'start') return
    if (when === 'after') return starting.delete(instance)
    starting.set(instance, shadow.clock.now())
    const inTurn = [...starting.values()].filter(since => shadow.clock.now() - since < TURN_MS)
    most = Math.max(most, inTurn.length)
  }
  const answers = await Promise.all(apps.map(app => shadow.ask(app, '/lost+found/')))
  // busybox has no page there, which the app itself says.
  assert.deepEqual(
    [...new Set(answers.map(({ status, headers }) => `${status} ${headers['x-shadow-error'] ?? ''}`))],
    ['404 '],
  )
  assert.equal(most, 3)
  shadow.onStep = () => undefined
  const { lastWake } = await shadow.instance(apps.at(-1) ?? '')
  assert.ok((lastWake?.steps.turn ?? 0) > 0)
})
