import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { volumeId } from '../../src/model/names.ts'
import { ext4 } from '../../src/nodeproxy/filesystem/ext4.ts'
import { attachVolume } from '../../src/nodeproxy/volumes/attach.ts'
import { loop } from '../../src/nodeproxy/volumes/loop.ts'
import { builtImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

const AS_POSTGRES = [
  `RUN echo 'postgres:x:70:71::/:/bin/sh' >> /etc/passwd && echo 'staff:x:50:' > /etc/group`,
  `RUN mkdir -p /var/lib/db/sub && echo first > /var/lib/db/sub/seed && ln -s sub/seed /var/lib/db/link`,
  `RUN chown -R 70:71 /var/lib/db && chmod 700 /var/lib/db && touch -d '2001-02-03 04:05:06' /var/lib/db`,
  'USER postgres',
]
const SERVES = 'exec httpd -f -p 8000 -h /'

let shadow: Shadow
beforeAll(async () => {
  shadow = await Shadow.start()
})
afterAll(() => shadow?.[Symbol.asyncDispose]())

const at = (app: string) => `${shadow.data}/volumes/${app}/mnt`
const looks = (path: string) => {
  const { uid, gid, mode, mtimeMs } = statSync(path)
  return { uid, gid, mode: (mode & 0o7777).toString(8), mtimeMs }
}

async function registered(app: string, image: string, path: string, script = SERVES): Promise<void> {
  await shadow.register(app, { image, command: ['sh', '-c', script], volume: { size: '16MiB', path } })
}

test('a new volume begins with owner, mode and contents of the folder that the image has in its place', async () => {
  await registered('db', await builtImage('db', ...AS_POSTGRES), '/var/lib/db', `chmod 700 /var/lib/db && ${SERVES}`)
  await shadow.wake('db')
  expect(looks(at('db'))).toEqual({ uid: 70, gid: 71, mode: '700', mtimeMs: Date.parse('2001-02-03T04:05:06Z') })
  expect(readdirSync(at('db')).sort()).toEqual(['link', 'sub'])
  expect(readFileSync(join(at('db'), 'link'), 'utf8')).toBe('first\n')
  expect(looks(join(at('db'), 'sub/seed'))).toMatchObject({ uid: 70, gid: 71 })

  // Later changes of the app survive the next wake and another image.
  rmSync(join(at('db'), 'link'))
  writeFileSync(join(at('db'), 'sub/seed'), 'second\n')
  await shadow.sleep('db')
  await shadow.wake('db')
  expect(readdirSync(at('db'))).toEqual(['sub'])
  expect(readFileSync(join(at('db'), 'sub/seed'), 'utf8')).toBe('second\n')
  await shadow.sleep('db')
}, 60_000)

test('an image without the folder gives the volume to the user that it runs as', async () => {
  await registered('own', await builtImage('own', ...AS_POSTGRES), '/elsewhere', `touch /elsewhere/f && ${SERVES}`)
  await shadow.wake('own')
  expect(looks(at('own'))).toMatchObject({ uid: 70, gid: 71, mode: '755' })
  await shadow.sleep('own')
}, 60_000)

test('an image that runs as root and has no such folder leaves the volume open to every user', async () => {
  await registered('root', await builtImage('root', 'ENV A=1'), '/elsewhere')
  await shadow.wake('root')
  expect(looks(at('root'))).toMatchObject({ uid: 0, gid: 0, mode: '777' })
  await shadow.sleep('root')
}, 60_000)

test('a volume that an app had is not filled, however empty it is', async () => {
  await registered('empty', await builtImage('db', ...AS_POSTGRES), '/var/lib/db')
  await shadow.wake('empty')
  for (const name of readdirSync(at('empty'))) rmSync(join(at('empty'), name), { recursive: true })
  await shadow.sleep('empty')
  await shadow.wake('empty')
  expect(readdirSync(at('empty'))).toEqual([])
  await shadow.sleep('empty')
}, 60_000)

test('what does not fit on the volume is told as such, and the next try with more room succeeds', async () => {
  const image = await builtImage('big', 'RUN mkdir /big && dd if=/dev/zero of=/big/f bs=1M count=30 && mkdir /big/sub')
  await registered('big', image, '/big')
  await expect(shadow.wake('big')).rejects.toMatchObject({ code: 'disk-full' })
  await shadow.admin.call('updateApp', { params: { app: 'big' }, body: { volume: { size: '64MiB' } } })
  await shadow.wake('big')
  expect(readdirSync(at('big')).sort()).toEqual(['f', 'sub'])
  expect(statSync(join(at('big'), 'f')).size).toBe(30 * 2 ** 20)
  await shadow.sleep('big')
}, 60_000)

test('the folder of a volume is for nobody but us, whoever made it', async () => {
  for (const app of ['db', 'own', 'root']) expect(looks(`${shadow.data}/volumes/${app}`).mode).toBe('700')
  const folder = join(shadow.data, 'other')
  mkdirSync(join(folder, 'blog'), { recursive: true, mode: 0o755 })
  await ext4({ folder }).prepare(volumeId('blog'))
  expect(looks(join(folder, 'blog')).mode).toBe('700')
})

test('a filling that was cut short is begun again, and data that is there already is left alone', async () => {
  const folder = join(shadow.data, 'filled')
  const [drives, places] = [loop({ folder }), ext4({ folder })]
  const [blog, signal] = [volumeId('blog'), new AbortController().signal]
  await places.prepare(blog)
  const device = await attachVolume(drives, { volume: blog, sizeBytes: 16 * 2 ** 20, format: places.make }, signal)
  await places.mount(blog, device, signal)
  const cut = places.fill(blog, device, async place => {
    writeFileSync(join(place, 'half'), '')
    throw new Error('cut')
  })
  await expect(cut).rejects.toThrow('cut')
  await places.fill(blog, device, async place => writeFileSync(join(place, 'whole'), ''))
  expect(readdirSync(places.at(blog))).toEqual(['whole'])
  await places.fill(blog, device, () => Promise.reject(new Error('filled twice')))
  execFileSync('/usr/sbin/e2label', [device, 'shadow-new'])
  await places.fill(blog, device, () => Promise.reject(new Error('filled over data')))
  expect(readdirSync(places.at(blog))).toEqual(['whole'])
  await places.unmount(blog)
  await drives.detach(blog)
})
