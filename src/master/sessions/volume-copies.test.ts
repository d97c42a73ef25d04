import assert from 'node:assert/strict'
import { beforeEach, test } from 'vitest'
import { isFailure } from '../../lib/errors.ts'
import { appName, type NodeName, volumeId } from '../../model/names.ts'
import { size } from '../../model/quantities.ts'
import { HandClock } from '../../testing/clock.ts'
import { memoryStorage } from '../../testing/memory-storage.ts'
import type { Records } from '../records.ts'
import { type Volumes, volumeRecords } from '../volumes.ts'
import { type VolumeCopies, volumeCopies } from './volume-copies.ts'

const VOLUME = { id: volumeId('editor--aaaaaaaaaaaaaaaa'), size: size('16MiB'), path: '/data' }
const SOURCE = { app: appName('golden') }
const signal = new AbortController().signal

let volumes: Volumes
let copies: VolumeCopies
/** Called when a copy has begun, before its bytes are there. */
let copying: () => Promise<void>
let made: number

beforeEach(() => {
  const records = { read: async () => ({ state: 'none' }) } as unknown as Records
  volumes = volumeRecords({ storage: memoryStorage(), records, clock: new HandClock() })
  made = 0
  copying = async () => undefined
  copies = volumeCopies({
    volumes,
    forks: {
      async copy({ id, size }) {
        const move = { id: `move-${++made}`, to: 'n1' as NodeName }
        await volumes.beginImport(id, { ...move, size, driver: 'loop' })
        await copying()
        await volumes.finishMove(id, move.to, move.id)
        return true
      },
      discard: async () => undefined,
    },
  })
})
const make = () => copies.make(VOLUME, SOURCE, 'ann', signal)

test('a volume is copied once: what a key has left stays as it is', async () => {
  assert.equal(await make(), true)
  assert.equal(await make(), false)
  assert.equal(made, 1)
})

test('a call waits for the copy that another one makes', async () => {
  const { promise: go, resolve } = Promise.withResolvers<void>()
  const { promise: begun, resolve: begins } = Promise.withResolvers<void>()
  copying = () => {
    begins()
    return go
  }
  const first = make()
  await begun
  const second = make()
  await new Promise(setImmediate)
  resolve()
  assert.deepEqual([await first, await second, made], [true, false, 1])
})

test('of two that begin in the same moment the later one counts, and the other finds its volume by the next try', async () => {
  let isFirst = true
  copying = async () => {
    if (!isFirst) return
    isFirst = false
    await volumes.beginImport(VOLUME.id, { id: 'later', to: 'n1' as NodeName, size: VOLUME.size, driver: 'loop' })
  }
  await assert.rejects(make(), error => isFailure(error, 'changed'))
  const again = make()
  await volumes.finishMove(VOLUME.id, 'n1' as NodeName, 'later')
  assert.deepEqual([await again, made], [false, 1])
})
