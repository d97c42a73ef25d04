import assert from 'node:assert/strict'
import { test } from 'vitest'
import { systemClock } from '../lib/clock.ts'
import { isFailure, ShadowError } from '../lib/errors.ts'
import { Liveness } from './liveness.ts'

type Options = ConstructorParameters<typeof Liveness>

/** The liveness of a run in which the kernel has killed one process for want of memory. */
function killed(runs: () => boolean): Liveness {
  const running = {
    task: { app: 'blog', limits: { memory: '64MiB' } },
    container: { id: 'c1' },
    address: { host: '127.0.0.1', port: 8000 },
  }
  return new Liveness(
    running as unknown as Options[0],
    {
      runtime: { runs: async () => runs(), memoryKills: async () => 1 },
      clock: systemClock,
      reopensWithinMs: 0,
      bootsUntil: 0,
      reconcile: async () => undefined,
      onMemoryKill: () => undefined,
    } as unknown as Options[1],
  )
}

test('a request whose process was killed for want of memory is told of that, if the run goes on', async () => {
  await assert.rejects(killed(() => true).alive(), error => {
    assert.ok(isFailure(error, 'app-crashed'))
    assert.deepEqual(error.details.facts, { outOfMemory: 1 })
    return true
  })
})

// On a busy machine, the init process of a container ends long after its child.
test('if the run ends a moment after that kill, the request is told how the run ended', async () => {
  const end = new ShadowError('app-crashed', 'blog was killed', { facts: { exitCode: 137, outOfMemory: 1 } })
  let asked = 0
  const liveness = killed(() => {
    if (++asked < 20) return true
    liveness.end(end)
    return false
  })
  await assert.rejects(liveness.alive(), error => error === end)
})
