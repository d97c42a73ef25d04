import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { test } from 'vitest'
import { noLog } from '../../lib/log.ts'
import { temporaryFolder } from '../../testing/folders.ts'
import { openAnswerStore } from './answer-store.ts'

const key = (app: string, version = '1') => ({ app, version, hostname: 'a.example.com', path: '/robots.txt' })
const answer = (at: number, bytes = 10) => ({ headers: { etag: '"1"' }, body: Buffer.alloc(bytes, 0xff), at })

test('an answer is given to its own version alone, to all who have the file open', () => {
  const folder = temporaryFolder('shadow-answers-')
  using one = openAnswerStore({ folder, log: noLog })
  using other = openAnswerStore({ folder, log: noLog })
  one.set(key('blog'), answer(1))
  assert.deepEqual(other.get(key('blog')), answer(1))
  assert.equal(other.get(key('blog', '2')), undefined)
  assert.equal(other.get(key('shop')), undefined)
  other.set(key('blog', '2'), answer(2))
  assert.equal(one.get(key('blog')), undefined)
})

test('the oldest answers make room for newer ones', () => {
  using store = openAnswerStore({
    folder: temporaryFolder('shadow-answers-'),
    log: noLog,
    mostBytes: 350,
    prunedEvery: 1,
  })
  for (let at = 1; at <= 5; at += 1) store.set(key(`app-${at}`), answer(at, 100))
  const kept = [1, 2, 3, 4, 5].filter(at => store.get(key(`app-${at}`)) !== undefined)
  assert.deepEqual(kept, [3, 4, 5])
})

test('a thread that opens the store waits for another one that is just making it', async () => {
  const folder = temporaryFolder('shadow-answers-')
  const writer = new Worker(
    `const { DatabaseSync } = require('node:sqlite')
     const { parentPort, workerData } = require('node:worker_threads')
     const database = new DatabaseSync(workerData)
     database.exec('BEGIN IMMEDIATE')
     parentPort.postMessage('began')
     setTimeout(() => { database.exec('ROLLBACK'); database.close() }, 200)`,
    { eval: true, workerData: `${folder}/answers` },
  )
  const ended = once(writer, 'exit')
  await once(writer, 'message')
  using store = openAnswerStore({ folder, log: noLog })
  store.set(key('blog'), answer(1))
  assert.deepEqual(store.get(key('blog')), answer(1))
  await ended
})
