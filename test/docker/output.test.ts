import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { instanceId } from '../../src/model/instance-id.ts'
import { volumeId } from '../../src/model/names.ts'
import { size } from '../../src/model/quantities.ts'
import { ext4 } from '../../src/nodeproxy/filesystem/ext4.ts'
import { attachVolume } from '../../src/nodeproxy/volumes/attach.ts'
import { loop } from '../../src/nodeproxy/volumes/loop.ts'
import { containersOfTest, letGo, portOpen, texts, WAITS } from '../tools/containers.ts'
import { nodeImage } from '../tools/images.ts'

const { runtime, signal, task, started, linesOf, untilLine } = containersOfTest()

describe('what an app writes', () => {
  test('comes line by line, in order, with its stream and its time, to the very last line', async () => {
    const container = await started(
      task({ script: `${WAITS}for i in $(seq 1 5000); do echo "line $i"; done; echo oops >&2; printf "no end"` }),
    )
    letGo(container)
    const lines = await linesOf(container)
    expect(texts(lines)).toEqual([...Array.from({ length: 5000 }, (_, i) => `line ${i + 1}`), 'no end'])
    expect(texts(lines, 'stderr')).toEqual(['oops'])
    for (const { at } of lines) expect(at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
    expect(await linesOf(container)).toEqual(lines)
  })

  test('can be read on from a line that is known', async () => {
    const container = await started(task({ script: `${WAITS}for i in 1 2 3 4 5 6; do echo $i; sleep 0.02; done` }))
    letGo(container)
    const lines = await linesOf(container)
    expect(texts(await linesOf(container, lines[3]!.at))).toEqual(['4', '5', '6'])
  })

  test('comes as it is written, and a reader may leave', async () => {
    const container = await started(task({ script: 'echo first; sleep 1000' }))
    const leaving = new AbortController()
    const reader = runtime.output(container, undefined, leaving.signal)[Symbol.asyncIterator]()
    expect((await reader.next()).value).toMatchObject({ line: 'first', stream: 'stdout' })
    const next = reader.next()
    leaving.abort(new Error('left'))
    await expect(next).rejects.toThrow('left')
  })

  test('is whole where a line is longer than what Docker takes at once', async () => {
    const container = await started(task({ script: `${WAITS}head -c 40000 /dev/zero | tr "\\0" x; echo end` }))
    letGo(container)
    expect(texts(await linesOf(container))).toEqual([`${'x'.repeat(40_000)}end`])
  })
})

test('12 seconds of a flood do not make its reader deaf, each line comes once, and what was lost is told', async () => {
  const flood =
    'i=0; end=$(($(date +%s) + 12)); while [ $(date +%s) -lt $end ]; do seq $i $((i + 99999)); i=$((i + 100000)); done'
  const container = await started(task({ script: `${flood}; sleep 4; echo after; exec sleep 1000` }))
  let previous = -1
  let notices = 0
  let missing = 0
  for await (const { line, stream } of runtime.output(container, undefined, signal)) {
    if (line === 'after') break
    if (stream === 'shadow') {
      assert.match(line, /lines may be missing here/)
      notices += 1
      continue
    }
    const number = Number(line)
    assert.ok(number > previous, `${number} came after ${previous}`)
    missing += number - previous - 1
    previous = number
  }
  assert.ok(missing === 0 || notices > 0, `${missing} lines are missing, which is not told`)
})

describe('a volume', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync('/tmp/shadow-late-')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('mounted after its container was made and before its start is what the app sees, and is free after its stop', async () => {
    const id = volumeId('late')
    const drives = loop({ folder })
    const places = ext4({ folder, file: drives.file })
    const wanted = { volume: id, sizeBytes: 16 * 2 ** 20, format: places.make }
    await places.prepare(id)
    const given = task({
      script:
        'test -e /srv/data/before && cat /srv/data/before; echo written > /srv/data/after; echo done; exec sleep 1000',
      volume: { id, size: size('16MiB'), path: '/srv/data' },
    })
    try {
      const container = await runtime.create(instanceId(given.app), given, places.at(id), signal)
      await places.mount(id, await attachVolume(drives, wanted, signal), signal)
      writeFileSync(join(places.at(id), 'before'), 'from the volume\n')
      await runtime.start(container, signal)
      await untilLine(container, 'from the volume')
      await untilLine(container, 'done')
      await expect(drives.detach(id)).rejects.toMatchObject({ code: 'volume-in-use' })
      await runtime.stop(container, 5_000)
      await places.unmount(id)
      await drives.detach(id)
      expect(readdirSync(places.at(id))).toEqual([])
      await places.mount(id, await attachVolume(drives, wanted, signal), signal)
      expect(readFileSync(join(places.at(id), 'after'), 'utf8')).toBe('written\n')
    } finally {
      await places.unmount(id)
      await drives.detach(id)
    }
  })
})

test('the Node app of the journeys serves on its port', async () => {
  const container = await started(
    task({ image: await nodeImage(), command: undefined, limits: { memory: size('256MiB'), cpus: 2, pids: 64 } }),
  )
  expect(await portOpen(container.ip, 8000)).toBe(true)
  const answer = await fetch(`http://${container.ip}:8000/echo`, { method: 'POST', body: 'shadow' })
  expect(await answer.json()).toMatchObject({ bytes: 6 })
  await runtime.stop(container, 10_000)
  expect(texts(await linesOf(container))).toContain('got SIGTERM')
})
