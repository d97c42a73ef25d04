import assert from 'node:assert/strict'
import { describe, test } from 'vitest'
import { instanceId } from '../model/instance-id.ts'
import { appName } from '../model/names.ts'
import type { TaskDefinition } from '../model/task.ts'
import type { Container, Runtime } from '../nodeproxy/runtime/runtime.ts'

/** A runtime without containers, and a task of the app `blog` that writes `hello` and runs until it is stopped, with exit code 0 or 143. */
type Opened = { readonly runtime: Runtime; readonly task: TaskDefinition }

type Options = {
  /** The reason why this runtime is skipped. */
  readonly skip?: string | false | undefined
  /** How long making an image, a network or a container may take, in milliseconds. */
  readonly withinMs?: number
}

const signal = new AbortController().signal

/** What every runtime must do. `open` is called for each test; its caller removes what the test left. */
export function describeRuntime(
  name: string,
  open: () => Promise<Opened>,
  { skip = false, withinMs = 60_000 }: Options = {},
): void {
  const title = `runtime ${name}${skip === false ? '' : ` (skipped: ${skip})`}`
  describe.skipIf(skip !== false)(title, { timeout: withinMs }, () => {
    const summary = async (runtime: Runtime) =>
      (await runtime.leftBehind()).map(({ id, app, instance, revision, running }) => ({
        id,
        app,
        instance,
        revision,
        running,
      }))

    test('a container is made without being started, then started with an address, stopped and removed', async () => {
      const { runtime, task } = await open()
      await runtime.ensureImage(task.image, signal, task)
      const container = await runtime.create(instanceId(task.app), task, undefined, signal)
      assert.deepEqual([container.app, container.revision], [task.app, task.revision])
      const about = { id: container.id, app: task.app, instance: 'blog', revision: task.revision }
      assert.deepEqual(await summary(runtime), [{ ...about, running: false }])
      const ip = await runtime.start(container, signal)
      assert.match(ip, /^[0-9a-f.:]+$/)
      assert.equal((await runtime.leftBehind())[0]?.ip, ip)
      assert.deepEqual(await summary(runtime), [{ ...about, running: true }])
      assert.equal(await runtime.runs(container), true)
      await runtime.stop(container, 5_000)
      assert.deepEqual(await summary(runtime), [{ ...about, running: false }])
      assert.equal(await runtime.runs(container), false)
      await runtime.remove(container)
      assert.deepEqual(await runtime.leftBehind(), [])
    })

    test('an image that is here is among the images that it lists', async () => {
      const { runtime, task } = await open()
      const { id } = await runtime.ensureImage(task.image, signal, task)
      assert.ok((await runtime.images()).includes(id))
    })

    test('stop and remove may be repeated, also of a container that is gone', async () => {
      const { runtime, task } = await open()
      const container = await started(runtime, task)
      for (let times = 0; times < 2; times++) await runtime.stop(container, 5_000)
      for (let times = 0; times < 2; times++) await runtime.remove(container)
      await runtime.stop(container, 5_000)
      await runtime.limitCpus(container, 0.5)
      assert.equal(await runtime.runs(container), false)
      assert.equal(await runtime.memoryKills(container), 0)
      assert.ok(((await runtime.cpuMs(container)) ?? 0) >= 0)
    })

    test('what a container has used only grows while it runs, and nothing is told of one that has ended', async () => {
      const { runtime, task } = await open()
      const container = await started(runtime, task)
      const first = await runtime.usage(container)
      const second = await runtime.usage(container)
      assert.ok(first !== undefined && second !== undefined)
      assert.ok(second.cpuMs >= first.cpuMs && second.sentBytes >= first.sentBytes && first.sentBytes >= 0)
      const load = await runtime.load(container)
      assert.ok(load !== undefined && load.cpuMs >= first.cpuMs && load.memoryBytes > 0)
      await runtime.stop(container, 5_000)
      assert.equal(await runtime.usage(container), undefined)
      assert.equal(await runtime.load(container), undefined)
      await runtime.remove(container)
      assert.equal(await runtime.usage(container), undefined)
    })

    test('the end of a container is told with its exit code, to whoever waited and to whoever asks later', async () => {
      const { runtime, task } = await open()
      const container = await started(runtime, task)
      const waited = runtime.exited(container, signal)
      await runtime.stop(container, 5_000)
      const exit = await waited
      assert.ok(exit !== undefined && [0, 143].includes(exit.exitCode), JSON.stringify(exit))
      assert.equal(exit.outOfMemory, false)
      assert.deepEqual(await runtime.exited(container, signal), exit)
      await runtime.remove(container)
      assert.equal(await runtime.exited(container, signal), undefined)
    })

    test('a wait for the end is left with the reason of its signal, and the container runs on', async () => {
      const { runtime, task } = await open()
      const container = await started(runtime, task)
      const leaving = new AbortController()
      const waited = runtime.exited(container, leaving.signal)
      leaving.abort(new Error('left'))
      await assert.rejects(waited, /left/)
      assert.equal(await runtime.runs(container), true)
    })

    test('what a container wrote is told to the end, also when it has stopped', async () => {
      const { runtime, task } = await open()
      const container = await started(runtime, task)
      // Wait for its output before stopping it.
      for await (const { line } of runtime.output(container, undefined, signal)) if (line === 'hello') break
      await runtime.stop(container, 5_000)
      const lines: string[] = []
      for await (const { stream, line } of runtime.output(container, undefined, signal))
        if (stream === 'stdout') lines.push(line)
      assert.deepEqual(lines, ['hello'])
    })

    test('a frozen container runs on after it is thawed; freezing and thawing may be repeated', async () => {
      const { runtime, task } = await open()
      const container = await started(runtime, task)
      for (let times = 0; times < 2; times++) await runtime.freeze(container)
      assert.equal(await runtime.runs(container), true)
      assert.equal(await runtime.areGone(container), false)
      for (let times = 0; times < 2; times++) await runtime.thaw(container)
      await runtime.stop(container, 5_000)
      const exit = await runtime.exited(container, signal)
      assert.ok(exit !== undefined && [0, 143].includes(exit.exitCode), JSON.stringify(exit))
      await runtime.thaw(container)
    })

    test('a frozen container is stopped: by its signal within its grace, or killed', async () => {
      const { runtime, task } = await open()
      for (const [graceMs, codes] of [
        [20_000, [0, 143]],
        [0, [0, 137, 143]],
      ] as const) {
        const container = await started(runtime, task)
        await runtime.freeze(container)
        await runtime.stop(container, graceMs)
        const exit = await runtime.exited(container, signal)
        assert.ok(exit !== undefined && codes.includes(exit.exitCode as never), JSON.stringify(exit))
        await runtime.remove(container)
      }
    })

    test('containers of two apps are told apart', async () => {
      const { runtime, task } = await open()
      const blog = await started(runtime, task)
      const shop = await started(runtime, { ...task, app: appName('shop'), revision: 3 })
      await runtime.stop(blog, 5_000)
      const found = new Map((await summary(runtime)).map(one => [one.id, one]))
      assert.equal(found.get(blog.id)?.running, false)
      assert.deepEqual(found.get(shop.id), { id: shop.id, app: 'shop', instance: 'shop', revision: 3, running: true })
    })

    test('two instances of one app have a container each, and the second leaves the first alone', async () => {
      const { runtime, task } = await open()
      const second = instanceId(task.app, 'b')
      const plain = await started(runtime, task)
      const made = await started(runtime, task, second)
      assert.deepEqual([made.app, made.instance], [task.app, 'blog.b'])
      await runtime.stop(plain, 5_000)
      const about = { app: task.app, revision: task.revision }
      assert.deepEqual(
        (await summary(runtime)).toSorted((a, b) => a.instance.localeCompare(b.instance)),
        [
          { ...about, id: plain.id, instance: 'blog', running: false },
          { ...about, id: made.id, instance: 'blog.b', running: true },
        ],
      )
      await runtime.remove(plain)
      assert.deepEqual(await summary(runtime), [{ ...about, id: made.id, instance: 'blog.b', running: true }])
    })

    test('a call whose caller has left already changes nothing', async () => {
      const { runtime, task } = await open()
      const left = AbortSignal.abort(new Error('left'))
      await assert.rejects(runtime.create(instanceId(task.app), task, undefined, left), /left/)
      assert.deepEqual(await runtime.leftBehind(), [])
    })

    test('it answers that it is alive', async () => {
      assert.equal(await (await open()).runtime.alive(signal), true)
    })
  })
}

async function started(runtime: Runtime, task: TaskDefinition, id = instanceId(task.app)): Promise<Container> {
  const container = await runtime.create(id, task, undefined, signal)
  await runtime.start(container, signal)
  return container
}
