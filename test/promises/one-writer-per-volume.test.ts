import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, test } from 'vitest'
import { noLog } from '../../src/lib/log.ts'
import { readSettings } from '../../src/lib/settings.ts'
import type { App } from '../../src/model/app.ts'
import type { Held } from '../../src/model/instance.ts'
import { instanceId } from '../../src/model/instance-id.ts'
import { nodeproxySettings } from '../../src/nodeproxy/config.ts'
import { startNodeproxy } from '../../src/nodeproxy/main.ts'
import { Apart } from '../tools/apart.ts'
import { containersOf, isCode, register, Shadow } from '../tools/shadow.ts'

const VOLUME = { volume: { size: '16MiB' } }
const REQUEST = { kind: 'request', what: 'GET / from nowhere', bytes: 0, mayWake: true } as const

/** Holds the app on this node, as a front does after it placed the app there. */
const hold = async (apart: Apart, letter: string, app: App): Promise<Held> => {
  const route = await apart.admin.call('getHost', { params: { hostname: `${app.name}.localhost` } })
  return apart.node(letter).hold(instanceId(app.name), { ...REQUEST, permit: route.permit }, new AbortController())
}

describe('promise 2, one writer per volume, ever:', () => {
  test('of two nodes that wake one app at once, one gets its volume, and the other is told which', async () => {
    await using apart = await Apart.start(['a', 'b'])
    const app = await register(apart.admin, 'blog', VOLUME)
    const tried = await Promise.allSettled([hold(apart, 'a', app), hold(apart, 'b', app)])
    const winner = tried[0]?.status === 'fulfilled' ? 'a' : 'b'
    const loser = winner === 'a' ? 'b' : 'a'
    const [lost, ...more] = tried.filter(({ status }) => status === 'rejected')
    assert.deepEqual(more, [])
    assert.ok(lost?.status === 'rejected' && isCode('volume-elsewhere')(lost.reason))
    assert.equal(lost.reason.details.facts.node, apart.nameOf(winner))
    assert.equal((await containersOf(apart.nameOf(winner))).length, 1)
    assert.deepEqual(await containersOf(apart.nameOf(loser)), [])
    for (const one of tried) if (one.status === 'fulfilled') one.value[Symbol.dispose]()
  })

  test('the front finds the node that has the volume, wherever it asked first, also when that node has slept and woken', async () => {
    await using apart = await Apart.start(['a', 'b'])
    for (const home of ['a', 'b']) {
      const app = await register(apart.admin, `blog-${home}`, VOLUME)
      const held = await hold(apart, home, app)
      held[Symbol.dispose]()
      const { status, headers } = await apart.ask(app.name, '/files/note', { method: 'PUT', body: 'kept' })
      assert.deepEqual([status, headers['x-shadow-node']], [200, apart.nameOf(home)])
      await apart.admin.call('sleepApp', { params: { app: app.name } })
      assert.equal((await apart.ask(app.name, '/files/note')).text, 'kept')
    }
  })

  test('a second Shadow on the same data folder is refused, and so is a second node; the first serves on', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', VOLUME)
    const { boot } = (await shadow.ask('blog')).json
    await assert.rejects(Shadow.start({ data: shadow.data }), isCode('data-in-use', /another Shadow runs on/))
    const settings = { data: shadow.data, name: shadow.node, listen: '0', master: shadow.up.masterUrl, token: 'any' }
    const node = startNodeproxy(readSettings(nodeproxySettings, {}, settings), { log: noLog })
    await assert.rejects(node, isCode('data-in-use'))
    assert.deepEqual((await shadow.ask('blog')).json.boot, boot)
  })

  test('whatever ends an app, no container of it is made for a wake, or started, while another one runs', async () => {
    await using shadow = await Shadow.start()
    await shadow.register('blog', { ...VOLUME, sleep: { idleAfter: '10s' } })
    const there: string[][] = []
    // Counts synchronously, so that nothing else happens meanwhile.
    shadow.onStep = (_, step, when) => {
      if (`${when} ${step}` !== 'before create' && `${when} ${step}` !== 'after start') return
      const ids = execFileSync('docker', [
        'ps',
        '-q',
        '--filter',
        `label=shadow.node=${shadow.node}`,
        '--filter',
        'label=shadow.app',
      ]).toString()
      there.push([`${when} ${step}`, String(ids.split('\n').filter(Boolean).filter(hasProcesses).length)])
    }
    const wake = async (): Promise<void> => assert.equal((await shadow.ask('blog')).status, 200)
    await wake()
    await shadow.pass(10_000)
    await shadow.until('blog', 'asleep')
    await wake()
    await promisify(execFile)('docker', ['kill', ...(await shadow.containers('blog'))])
    await wake()
    await shadow.admin.call('updateApp', { params: { app: 'blog' }, body: { env: { RELEASE: '2' } } })
    await wake()
    await shadow.sleep('blog')
    await Promise.all([wake(), shadow.wake('blog'), wake()])
    await shadow.stop()
    await shadow.startAgain()
    await wake()
    await shadow.sleep('blog')
    await wake()
    // The container of a newer release is made while the earlier one runs, and started once that has ended.
    const counts = Object.groupBy(there, ([step = '']) => step)
    assert.ok((counts['after start']?.length ?? 0) >= 5, `${there.length}`)
    assert.deepEqual(new Set(counts['before create']?.map(([, count]) => count)), new Set(['0']))
    assert.deepEqual(new Set(counts['after start']?.map(([, count]) => count)), new Set(['1']))
  })
})

/** Whether a process of the container runs. Docker reports an end later than the kernel. */
function hasProcesses(id: string): boolean {
  try {
    const pid = execFileSync('docker', ['inspect', '--format', '{{.State.Pid}}', id], { stdio: 'pipe' })
      .toString()
      .trim()
    if (pid === '0') return false
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !'ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3))
  } catch {
    return false // it is gone
  }
}
