import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { open as openFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Exec, exec } from '../../src/lib/exec.ts'
import { noLog } from '../../src/lib/log.ts'
import { volumeId } from '../../src/model/names.ts'
import { ext4 } from '../../src/nodeproxy/filesystem/ext4.ts'
import { attachVolume } from '../../src/nodeproxy/volumes/attach.ts'
import type { BlockDriver } from '../../src/nodeproxy/volumes/block-driver.ts'
import { loop } from '../../src/nodeproxy/volumes/loop.ts'

const MIB = 2 ** 20
const SIZE = 64 * MIB
const SOURCES = join(import.meta.dirname, '../../src/nodeproxy')
const blog = volumeId('blog')
const signal = new AbortController().signal

let folder: string
let undo: (() => unknown)[]

beforeEach(() => {
  folder = mkdtempSync('/tmp/shadow-volumes-')
  undo = []
})

afterEach(async () => {
  for (const step of undo.reverse()) await step()
  const { drives, places } = open(folder)
  for (const volume of await places.mounted()) await places.unmount(volume)
  for (const { volume } of await drives.attached()) await drives.detach(volume)
  rmSync(folder, { recursive: true, force: true })
})

const open = (at: string) => {
  const drives = loop({ folder: at })
  return { drives, places: ext4({ folder: at, file: drives.file }) }
}
const attach = (drives: BlockDriver, volume = blog, sizeBytes = SIZE, until = signal) =>
  attachVolume(drives, { volume, sizeBytes, format: ext4({ folder }).make }, until)
const run = (file: string, ...args: string[]) =>
  execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const imageOf = (id: string) => join(folder, id, 'image.ext4')
const loops = (file: string) => run('losetup', '--associated', file).split('\n').filter(Boolean)

/** Attaches, checks and mounts, as a wake does. */
async function bring(volume = blog, bytes = SIZE, { drives, places } = open(folder)) {
  await places.prepare(volume)
  const device = await attach(drives, volume, bytes)
  await places.check(volume, device, signal)
  await places.mount(volume, device, signal)
  return { device, at: places.at(volume) }
}

async function takeAway(volume = blog, { drives, places } = open(folder)) {
  await places.unmount(volume)
  await drives.detach(volume)
}

describe('a volume on a loop device', () => {
  test('is made on its first use: empty, of the size asked for, and writable by any user', async () => {
    expect(existsSync(imageOf('blog'))).toBe(false)
    const { at } = await bring()
    expect(existsSync(imageOf('blog'))).toBe(true)
    expect(readdirSync(at)).toEqual([])
    expect(statSync(at).mode & 0o7777).toBe(0o777)
    const bytes = Number(run('findmnt', '-bno', 'SIZE', at))
    expect(bytes).toBeGreaterThan(0.8 * SIZE)
    expect(bytes).toBeLessThanOrEqual(SIZE)
    expect(run('findmnt', '-no', 'FSTYPE', at).trim()).toBe('ext4')
    for (const option of ['nosuid', 'nodev', 'noatime'])
      expect(run('findmnt', '-no', 'OPTIONS', at).trim().split(',')).toContain(option)
    expect(statSync(imageOf('blog')).blocks * 512).toBeLessThan(8 * MIB)
  })

  test('fits into the least size there is', async () => {
    const { at } = await bring(blog, 16 * MIB)
    writeFileSync(join(at, 'f'), 'x'.repeat(MIB))
    expect(statSync(join(at, 'f')).size).toBe(MIB)
  })

  test('keeps its bytes and its owners through detach and attach', async () => {
    const { at } = await bring()
    const bytes = Buffer.alloc(3 * MIB, 'shadow ')
    writeFileSync(join(at, 'kept'), bytes)
    chmodSync(at, 0o750)
    await takeAway()
    expect(existsSync(join(at, 'kept'))).toBe(false)
    await bring()
    expect(readFileSync(join(at, 'kept')).equals(bytes)).toBe(true)
    expect(statSync(at).mode & 0o777).toBe(0o750)
    await takeAway()
    expect(run('e2fsck', '-fn', imageOf('blog'))).toContain('Pass 5')
  })

  test('every call may be repeated', async () => {
    const { drives, places } = open(folder)
    const { device, at } = await bring()
    writeFileSync(join(at, 'kept'), 'yes')
    expect(await bring()).toEqual({ device, at })
    expect((await bring(blog, SIZE, open(folder))).device).toBe(device)
    expect(loops(imageOf('blog'))).toHaveLength(1)
    expect(await places.mounted()).toEqual([blog])
    await places.unmount(blog)
    await places.unmount(blog)
    await drives.detach(blog)
    await drives.detach(blog)
    await open(folder).drives.detach(blog)
    expect(loops(imageOf('blog'))).toEqual([])
    await drives.remove(blog)
    await drives.remove(blog)
    expect(existsSync(join(folder, 'blog'))).toBe(false)
  })

  test('a driver that was started anew finds what the last one left, and only that', async () => {
    const strange = join(folder, 'strange.img')
    writeFileSync(strange, '')
    truncateSync(strange, MIB)
    const foreign = run('losetup', '--find', '--show', strange).trim()
    undo.push(() => run('losetup', '--detach', foreign))
    const { device } = await bring()
    const { drives, places } = open(folder)
    expect(await drives.attached()).toEqual([{ volume: blog, device }])
    expect(await places.mounted()).toEqual([blog])
    await takeAway(blog, { drives, places })
    expect(await drives.attached()).toEqual([])
    expect(loops(strange)).toHaveLength(1)
  })

  test('foreign mounts below the folder are neither told of nor taken away', async () => {
    const foreign = join(folder, 'not-ours')
    mkdirSync(foreign)
    run('mount', '-t', 'tmpfs', 'tmpfs', foreign)
    undo.push(() => run('umount', foreign))
    const { places } = open(folder)
    expect(await places.mounted()).toEqual([])
    await places.unmount(volumeId('not-ours'))
    expect(run('findmnt', '-no', 'FSTYPE', foreign).trim()).toBe('tmpfs')
  })

  test('20 volumes attached at once get a device each', async () => {
    const all = Array.from({ length: 20 }, (_, i) => volumeId(`v${i}`))
    const shared = open(folder)
    const brought = await Promise.all(all.map(volume => bring(volume, 16 * MIB, shared)))
    expect(new Set(brought.map(({ device }) => device)).size).toBe(20)
    for (const [i, { at }] of brought.entries()) writeFileSync(join(at, 'mine'), `${i}`)
    await Promise.all(all.map(volume => takeAway(volume, shared)))
    expect(await shared.drives.attached()).toEqual([])
    const again = await Promise.all(all.map(volume => bring(volume, 16 * MIB, shared)))
    for (const [i, { at }] of again.entries()) expect(readFileSync(join(at, 'mine'), 'utf8')).toBe(`${i}`)
  })

  test('attached at once by many callers it still has one device', async () => {
    const { drives } = open(folder)
    const devices = await Promise.all(Array.from({ length: 8 }, () => attach(drives, blog, SIZE)))
    expect(new Set(devices).size).toBe(1)
    expect(loops(imageOf('blog'))).toHaveLength(1)
  })
})

describe('a mounted volume', () => {
  test('is not unmounted while a file of it is open, and stays as it is', async () => {
    const { places } = open(folder)
    const { at } = await bring()
    const file = await openFile(join(at, 'busy'), 'w')
    undo.push(() => file.close())
    await expect(places.unmount(blog)).rejects.toMatchObject({ code: 'volume-in-use' })
    expect(await places.mounted()).toEqual([blog])
  })

  test('is never detached', async () => {
    const { drives, places } = open(folder)
    await bring()
    await expect(drives.detach(blog)).rejects.toMatchObject({ code: 'volume-in-use' })
    expect(await places.mounted()).toEqual([blog])
    expect(run('losetup', '--noheadings', '--output', 'AUTOCLEAR', (await drives.attached())[0]!.device).trim()).toBe(
      '0',
    )
  })

  test('is not detached while another mount namespace has it mounted', async () => {
    const { drives, places } = open(folder)
    await bring()
    const holder = spawn('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', 'echo ready; cat'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    undo.push(() => holder.kill('SIGKILL'))
    await once(holder.stdout!, 'data')
    await places.unmount(blog)
    await expect(drives.detach(blog)).rejects.toMatchObject({ code: 'volume-in-use' })
    expect(await drives.attached()).toHaveLength(1)
    holder.stdin!.end()
    await once(holder, 'exit')
    await drives.detach(blog)
    expect(await drives.attached()).toEqual([])
  })

  test('is not removed, nor is one that is attached', async () => {
    const { drives, places } = open(folder)
    const { at } = await bring()
    writeFileSync(join(at, 'kept'), 'yes')
    await expect(drives.remove(blog)).rejects.toMatchObject({ code: 'volume-in-use' })
    await places.unmount(blog)
    await expect(drives.remove(blog)).rejects.toMatchObject({ code: 'volume-in-use' })
    await drives.detach(blog)
    await bring()
    expect(readFileSync(join(at, 'kept'), 'utf8')).toBe('yes')
  })
})

test('a frozen volume takes no writes until the task is done, also where that fails', async () => {
  const { places } = open(folder)
  const { at } = await bring()
  const order: string[] = []
  let writing: Promise<unknown> | undefined
  const { ms } = await places.frozen(blog, 5_000, async () => {
    writing = writeFile(join(at, 'late'), 'x').then(() => order.push('written'))
    await sleep(50) // a write that is not blocked would be done by then
    order.push('task done')
  })
  await writing
  expect(order).toEqual(['task done', 'written'])
  expect(ms).toBeGreaterThanOrEqual(45)
  await expect(places.frozen(blog, 5_000, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
  writeFileSync(join(at, 'after'), 'x')
})

test('a task that takes too long is told so, and the volume takes writes again', async () => {
  const { places } = open(folder)
  const { at } = await bring()
  const late = places.frozen(blog, 20, until => new Promise(resolve => until.addEventListener('abort', resolve)))
  await expect(late).rejects.toMatchObject({ code: 'freeze-too-long' })
  writeFileSync(join(at, 'after'), 'x')
})

test('a process that is killed while a volume is frozen leaves it thawed; so does the next start', async () => {
  const { places } = open(folder)
  const { at } = await bring()
  const code = `import { whileFrozen } from '${SOURCES}/filesystem/freeze.ts'
    await whileFrozen({ volume: 'blog', at: '${at}', withinMs: 60000 }, () => { console.log('frozen'); return new Promise(() => setInterval(() => {}, 1000)) })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  const written = writeFile(join(at, 'late'), 'x')
  child.kill('SIGKILL')
  await written

  run('fsfreeze', '--freeze', at)
  await places.thaw()
  await places.thaw()
  writeFileSync(join(at, 'after'), 'x')
})

test('a volume that is not mounted cannot be frozen', async () => {
  const { places } = open(folder)
  await bring()
  await takeAway()
  const frozen = places.frozen(blog, 1_000, () => Promise.resolve())
  await expect(frozen).rejects.toMatchObject({ code: 'volume-in-use' })
})

describe('the size of a volume', () => {
  test('grows with its data in it, and is not made smaller', async () => {
    const { at } = await bring()
    writeFileSync(join(at, 'kept'), 'yes')
    await takeAway()
    await bring(blog, 256 * MIB)
    expect(readFileSync(join(at, 'kept'), 'utf8')).toBe('yes')
    expect(Number(run('findmnt', '-bno', 'SIZE', at))).toBeGreaterThan(200 * MIB)
    await takeAway()
    await expect(attach(open(folder).drives, blog, SIZE)).rejects.toMatchObject({ code: 'bad-input' })
    await bring(blog, 256 * MIB)
    expect(readFileSync(join(at, 'kept'), 'utf8')).toBe('yes')
  })

  test('grows while it is mounted and written to', async () => {
    const { drives, places } = open(folder)
    const { at } = await bring()
    writeFileSync(join(at, 'kept'), 'yes')
    const writing = await openFile(join(at, 'written'), 'w')
    const device = (await drives.growAttached?.(blog, 256 * MIB, signal)) ?? expect.fail('it cannot')
    const may = await places.growMounted(blog, device)
    expect(await places.growMounted(blog, device)).toBe(may)
    await writing.write('still')
    await writing.close()
    if (!may) {
      await takeAway() // this machine may not: the next wake does it
      await bring(blog, 256 * MIB)
    }
    expect(Number(run('findmnt', '-bno', 'SIZE', at))).toBeGreaterThan(200 * MIB)
    expect(readFileSync(join(at, 'written'), 'utf8')).toBe('still')
    expect(readFileSync(join(at, 'kept'), 'utf8')).toBe('yes')
  })

  test('grows although a run before it left the volume attached, but not while it is mounted', async () => {
    const { drives, places } = open(folder)
    const { at } = await bring()
    await expect(attach(drives, blog, 128 * MIB)).rejects.toMatchObject({ code: 'volume-in-use' })
    await places.unmount(blog)
    await bring(blog, 128 * MIB)
    expect(Number(run('findmnt', '-bno', 'SIZE', at))).toBeGreaterThan(100 * MIB)
  })

  test('a growth cut short after the file was made longer is finished by the next attach', async () => {
    const { at } = await bring()
    await takeAway()
    writeFileSync(`${imageOf('blog')}.growing`, '')
    truncateSync(imageOf('blog'), 256 * MIB)
    await bring(blog, 256 * MIB)
    expect(Number(run('findmnt', '-bno', 'SIZE', at))).toBeGreaterThan(200 * MIB)
  })

  test('that leaves no room for another block group is not grown at each check', async () => {
    const calls: string[] = []
    const counting: Exec = (file, args, options) => {
      calls.push(file)
      return exec(file, args, options)
    }
    for (const bytes of [130 * MIB, 128 * MIB + 4096, 17 * MIB - 4096]) {
      const id = volumeId(`odd-${bytes}`)
      const drives = loop({ folder })
      const places = ext4({ folder, file: drives.file, exec: counting })
      const device = await attach(drives, id, bytes)
      await places.check(id, device, signal)
      await drives.detach(id)
    }
    expect(calls).toEqual([])
  })

  test('grows from any size to any other, but for a last block group that would hold its own tables alone', async () => {
    for (const [from, to, wanted] of [
      [120, 130, 128],
      [128, 137, 137],
      [130, 300, 300],
    ] as const) {
      const id = volumeId(`from-${from}`)
      await bring(id, from * MIB)
      await takeAway(id)
      await bring(id, to * MIB)
      await takeAway(id)
      expect(run('dumpe2fs', '-h', imageOf(id))).toMatch(new RegExp(`Block count: +${wanted * 256}\n`))
      expect(run('e2fsck', '-fn', imageOf(id))).toContain('Pass 5')
    }
  })

  test('larger than the whole disk is refused before anything is made', async () => {
    const { drives } = open(folder)
    await expect(attach(drives, blog, 2 ** 50)).rejects.toMatchObject({ code: 'disk-full' })
    expect(existsSync(imageOf('blog'))).toBe(false)
  })

  test('all volumes together are promised no more than is allowed, and it is told where that is more than there is', async () => {
    const small = join(folder, 'small')
    mkdirSync(small)
    run('mount', '-t', 'tmpfs', '-o', 'size=100m', 'tmpfs', small)
    const warned: string[] = []
    const log = { ...noLog, warn: (event: string) => void warned.push(event) }
    const drives = loop({ folder: small, overcommit: 2, log })
    const [one, two] = [volumeId('one'), volumeId('two')]
    undo.push(async () => {
      for (const { volume } of await drives.attached()) await drives.detach(volume)
      run('umount', small)
    })
    await attach(drives, one, 80 * MIB)
    expect(warned).toEqual([])
    await attach(drives, two, 80 * MIB)
    expect(warned).toEqual(['volumes may grow beyond the disk'])
    const error = await attach(drives, blog, 80 * MIB).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'disk-full',
      message: expect.stringContaining('240MiB together'),
      details: { hint: expect.stringContaining('SHADOW_VOLUME_OVERCOMMIT') },
    })
    await expect(attach(drives, two, 100 * MIB)).resolves.toBeDefined()
    expect(existsSync(join(small, 'blog', 'image.ext4'))).toBe(false)
  })

  test('a full disk is told as such, leaves nothing, and the next try after space is made succeeds', async () => {
    const small = join(folder, 'small')
    mkdirSync(small)
    run('mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small)
    const { drives } = open(small)
    undo.push(async () => {
      await drives.detach(blog)
      run('umount', small)
    })
    writeFileSync(join(small, 'filler'), Buffer.alloc(24 * MIB - 20_000))
    await expect(attach(drives, blog, 16 * MIB)).rejects.toMatchObject({ code: 'disk-full' })
    expect(readdirSync(join(small, 'blog'))).toEqual([])
    rmSync(join(small, 'filler'))
    await attach(drives, blog, 16 * MIB)
  })
})

describe('the disk of the machine', () => {
  const onDisk = () => statSync(imageOf('blog')).blocks * 512

  test('has back what an app deleted once its volume is detached', async () => {
    const shared = open(folder)
    const { at } = await bring(blog, SIZE, shared)
    writeFileSync(join(at, 'kept'), Buffer.alloc(MIB, 'kept'))
    await takeAway(blog, shared)
    const before = onDisk()
    await bring(blog, SIZE, shared)
    writeFileSync(join(at, 'large'), Buffer.alloc(40 * MIB, 'large'))
    await takeAway(blog, shared)
    expect(onDisk()).toBeGreaterThan(before + 39 * MIB)
    await bring(blog, SIZE, shared)
    rmSync(join(at, 'large'))
    await takeAway(blog, shared)
    expect(onDisk()).toBeLessThan(before + MIB)
    await bring(blog, SIZE, shared)
    expect(readFileSync(join(at, 'kept')).equals(Buffer.alloc(MIB, 'kept'))).toBe(true)
  })

  test('has it back too where a run before this one left the volume mounted', async () => {
    const { at } = await bring()
    writeFileSync(join(at, 'large'), Buffer.alloc(40 * MIB, 'large'))
    run('sync', '-f', at)
    rmSync(join(at, 'large'))
    await takeAway(blog, open(folder))
    expect(onDisk()).toBeLessThan(10 * MIB)
  })
})

describe('what the app sees of its volume', () => {
  const looks = (at: string) => {
    const { uid, gid, mode, mtimeMs, nlink } = statSync(at)
    return { names: readdirSync(at), uid, gid, mode: mode & 0o7777, mtimeMs, nlink }
  }
  /** A volume as an app leaves it: with its own owner, mode and time. */
  async function asAnAppLeftIt() {
    const { at } = await bring()
    writeFileSync(join(at, 'kept'), 'yes')
    chownSync(at, 70, 71)
    chmodSync(at, 0o700)
    utimesSync(at, 981_173_106, 981_173_106)
    const before = looks(at)
    await takeAway()
    return { at, before }
  }

  test('stays as it was when the volume is grown', async () => {
    const { at, before } = await asAnAppLeftIt()
    await bring(blog, 128 * MIB)
    expect(looks(at)).toEqual(before)
  })

  test('stays as it was when the filesystem is repaired', async () => {
    const { at, before } = await asAnAppLeftIt()
    run('debugfs', '-w', '-R', 'set_super_value state 2', imageOf('blog'))
    await bring()
    expect(looks(at)).toEqual(before)
    await takeAway()
    expect(run('e2fsck', '-fn', imageOf('blog'))).toContain('Pass 5')
  })

  test('stays as it was where the app itself has a folder lost+found, empty or not', async () => {
    const { at } = await bring()
    mkdirSync(join(at, 'lost+found'))
    utimesSync(at, 981_173_106, 981_173_106)
    const before = looks(at)
    await takeAway()
    await bring(blog, 128 * MIB)
    expect(looks(at)).toEqual(before)
  })
})

describe('what a crash left', () => {
  test('a filesystem that was not unmounted is repaired by its journal', async () => {
    const { at } = await bring()
    writeFileSync(join(at, 'kept'), 'yes')
    run('sync', '-f', at)
    copyFileSync(imageOf('blog'), join(folder, 'as-it-was'))
    await takeAway()
    copyFileSync(join(folder, 'as-it-was'), imageOf('blog'))
    expect(run('dumpe2fs', '-h', imageOf('blog'))).toContain('needs_recovery')
    await bring()
    expect(readFileSync(join(at, 'kept'), 'utf8')).toBe('yes')
    await takeAway()
    expect(run('e2fsck', '-fn', imageOf('blog'))).toContain('Pass 5')
  })

  test('check repairs what is marked as broken, before it is mounted', async () => {
    await bring()
    await takeAway()
    run('debugfs', '-w', '-R', 'set_super_value state 2', imageOf('blog'))
    const { drives, places } = open(folder)
    const device = await attach(drives, blog, SIZE)
    await places.check(blog, device, signal)
    await drives.detach(blog)
    expect(run('dumpe2fs', '-h', imageOf('blog'))).toMatch(/Filesystem state: +clean\n/)
  })

  test('a filesystem beyond repair is told with what the check said, and is neither mounted nor made again', async () => {
    await bring()
    await takeAway()
    const junk = Buffer.alloc(8 * MIB, 0x5a)
    const file = await openFile(imageOf('blog'), 'r+')
    await file.write(junk, 0, junk.length, 0)
    await file.close()
    const { drives, places } = open(folder)
    const device = await attach(drives, blog, SIZE)
    const error = await places.check(blog, device, signal).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'volume-broken', details: { hint: expect.stringContaining('e2fsck -f') } })
    expect(String(error)).toMatch(/super-block/i)
    await expect(places.mount(blog, device, signal)).rejects.toMatchObject({ code: 'volume-broken' })
    await drives.detach(blog)
    expect(readFileSync(imageOf('blog')).subarray(0, junk.length).equals(junk)).toBe(true)
  })

  test('a half-made image is not taken for a volume, and goes with the next attach', async () => {
    mkdirSync(join(folder, 'blog'))
    writeFileSync(join(folder, 'blog', 'making-of-a-killed-run'), 'half')
    expect(existsSync(imageOf('blog'))).toBe(false)
    await bring()
    expect(readdirSync(join(folder, 'blog')).sort()).toEqual(['image.ext4', 'mnt'])
  })

  test('killed with SIGKILL at any moment of its first use, the volume is either whole or not there', async () => {
    for (let delay = 0; delay < 40; delay += 4) {
      const id = volumeId(`k${delay}`)
      const program = `
        import { ext4 } from '${join(SOURCES, 'filesystem/ext4.ts')}'
        import { attachVolume } from '${join(SOURCES, 'volumes/attach.ts')}'
        import { loop } from '${join(SOURCES, 'volumes/loop.ts')}'
        process.stdout.write('begins')
        const format = ext4({ folder: '${folder}' }).make
        const wanted = { volume: '${id}', sizeBytes: ${SIZE}, format }
        await attachVolume(loop({ folder: '${folder}' }), wanted, new AbortController().signal)
        setInterval(() => undefined, 1000)`
      const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      await once(child.stdout!, 'data')
      await sleep(delay)
      child.kill('SIGKILL')
      await once(child, 'exit')
      if (existsSync(imageOf(id))) expect(run('e2fsck', '-fn', imageOf(id))).toContain('Pass 5')
      const { at } = await bring(id)
      writeFileSync(join(at, 'works'), 'yes')
      await takeAway(id)
    }
  })

  test('a caller that leaves during an attach can detach at once', async () => {
    const { drives } = open(folder)
    const leaving = new AbortController()
    const attaching = attach(drives, blog, SIZE, leaving.signal)
    leaving.abort(new Error('left'))
    await expect(attaching).rejects.toThrow('left')
    await drives.detach(blog)
    expect(loops(imageOf('blog'))).toEqual([])
  })
})
