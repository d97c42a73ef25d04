import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { describe, test } from 'vitest'
import { Apart } from '../tools/apart.ts'
import { busyboxImage } from '../tools/images.ts'
import { register, Shadow, until, WAITS } from '../tools/shadow.ts'
import type { Answer } from '../tools/visitor.ts'

const run = promisify(execFile)

/** Counts the starts of containers. */
function countStarts(shadow: Shadow): () => number {
  let starts = 0
  shadow.onStep = (_, step, when) => {
    if (step === 'start' && when === 'before') starts += 1
  }
  return () => starts
}

// Mistakes seen in other systems that the tests of the promises do not cover.
describe('what peers get wrong:', () => {
  test('an app that fails is told of when it fails, not when its limit has passed, and the next request tries again', async () => {
    await using shadow = await Shadow.start()
    const starts = countStarts(shadow)
    await shadow.register('blog', { env: { EXIT_AT_BOOT: '7' }, startWithin: '1d' }) // no test waits that long
    for (const n of [1, 2]) {
      const { status, json } = await shadow.ask('blog')
      assert.deepEqual([status, json.code, json.facts], [502, 'app-crashed', { exitCode: 7 }])
      const { problem } = await shadow.until('blog', 'crashed')
      assert.deepEqual(problem?.facts, { exitCode: 7 })
      assert.match(problem?.detail ?? '', /ended with exit code 7 before it was ready/)
      assert.equal(starts(), n)
    }
  })

  test('a boot that fails once is not stuck: the next request is served', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', {
      image: await busyboxImage(),
      command: ['sh', '-c', '[ -f /data/once ] || { touch /data/once; exit 1; }; exec httpd -f -p 8000 -h /data'],
      volume: { size: '16MiB' },
    })
    for (let n = 0; n < 3; n++) {
      assert.equal((await shadow.ask('blog', '/once')).status, 502)
      assert.equal((await shadow.ask('blog', '/once')).status, 200)
      await shadow.sleep('blog')
      await shadow.wake('blog')
      await run('docker', ['exec', ...(await shadow.containers('blog')), 'rm', '/data/once'])
      await shadow.sleep('blog')
    }
  })

  test('an idle limit of 3 seconds lets an app run on that is asked more often than that', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { sleep: { idleAfter: '3s' } })
    const boots = new Set<string>()
    for (let n = 0; n < 20; n++) {
      boots.add((await shadow.ask('blog')).json.boot.id)
      shadow.clock.leap(1_000) // on a busy machine, up to 2 s of real time also pass between two requests
      await shadow.spoken()
    }
    assert.equal(boots.size, 1)
  })

  test('ready means that the port is open: the first requests of 16 wakes of a Node app are served', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { env: { LISTEN_AFTER_MS: '30' } })
    for (let n = 0; n < 16; n++) {
      assert.equal((await shadow.ask('blog')).status, 200)
      await shadow.sleep('blog')
    }
  })

  test('an app that is being stopped is never called ready: who comes then is served by the next boot', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    await shadow.ask('blog')
    let beside: Promise<Answer>[] = []
    shadow.onStep = (_, step, when) => {
      if (step === 'stop') beside.push(...[1, 2, 3].map(() => shadow.ask('blog', `/?${when}`)))
    }
    for (let n = 0; n < 5; n++) {
      await shadow.sleep('blog')
      const answers = await Promise.all(beside)
      beside = []
      assert.deepEqual(
        answers.map(({ status }) => status),
        Array.from({ length: 6 }, () => 200),
      )
      assert.equal(new Set(answers.map(({ json }) => json.boot.id)).size, 1)
    }
    shadow.onStep = () => undefined
  })

  test('8 apps woken at once, again and again, all wake: none waits for a word that was lost', async () => {
    await using shadow = await Shadow.start()
    const apps = Array.from({ length: 8 }, (_, n) => `burst-${n}`)
    const image = await busyboxImage()
    for (const app of apps)
      await shadow.register(app, {
        image,
        command: ['sh', '-c', 'echo hello >/tmp/index.html; exec httpd -f -p 8000 -h /tmp'],
      })
    for (let n = 0; n < 3; n++) {
      const answers = await Promise.all(apps.map(app => shadow.ask(app)))
      for (const { status, headers } of answers) {
        assert.equal(status, 200)
        assert.match(String(headers['server-timing']), /wake;dur=/)
      }
      await Promise.all(apps.map(app => shadow.sleep(app)))
    }
  })

  test('a request that is held while the master starts anew is answered', async () => {
    await using apart = await Apart.start()
    await register(apart.admin, 'blog', WAITS)
    const held = apart.ask('blog')
    await until(() =>
      apart
        .node('a')
        .instances()
        .find(({ lastWake }) => lastWake?.steps.start !== undefined),
    )
    await apart.stopMaster()
    await apart.pass(35_000)
    await apart.startMaster()
    await apart.pass(10_000)
    await writeFile(`${apart.data}/a/volumes/blog/mnt/go`, '')
    assert.equal((await held).status, 200)
  })

  test('a node that starts anew harms no app, and a request that comes meanwhile is answered when it is back', async () => {
    await using apart = await Apart.start()
    await register(apart.admin, 'blog', { volume: { size: '16MiB' } })
    const { boot } = (await apart.ask('blog')).json
    await apart.stopNode('a')
    const asked = apart.ask('blog')
    await apart.startNode('a')
    await apart.pass(5_000)
    assert.deepEqual((await asked).json.boot, boot)
  })

  test('the port of an app is not published on the host', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog')
    await shadow.ask('blog')
    const format = '{{json .NetworkSettings.Ports}}'
    const { stdout } = await run('docker', ['inspect', '--format', format, ...(await shadow.containers('blog'))])
    assert.equal(stdout.trim(), '{}')
  })

  test('every failure has a status of its own kind, a body, a code, a sentence, and an id to find it by', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('crashes', { env: { EXIT_AT_BOOT: '1' } })
    await shadow.register('no-image', { image: 'no.registry.invalid/none:1' })
    await shadow.register('no-command', { command: ['/no/such/program'] })
    await shadow.register('cuts')
    const seen: Record<string, unknown[]> = {}
    for (const [host, path] of [
      ['unknown', '/'],
      ['crashes', '/'],
      ['no-image', '/'],
      ['no-command', '/'],
      ['cuts', '/cut'],
    ] as const) {
      const { status, headers, json } = await shadow.ask(host, path)
      assert.equal(headers['content-type'], 'application/problem+json')
      assert.equal(json.status, status)
      assert.equal(json.code, headers['x-shadow-error'])
      assert.ok(json.detail.length > 0 && json.title.length > 0 && json.id.length > 0, JSON.stringify(json))
      seen[host] = [status, json.code]
    }
    assert.deepEqual(seen, {
      unknown: [404, 'host-unknown'],
      crashes: [502, 'app-crashed'],
      'no-image': [424, 'image-not-found'],
      'no-command': [424, 'command-not-found'],
      cuts: [502, 'app-unreachable'],
    })
  })
})
