import { expect, test } from 'vitest'
import { Unwind } from './unwind.ts'

test('what is held is let go of newest first', async () => {
  const undone: string[] = []
  const held = new Unwind()
  for (const name of ['lease', 'device', 'mount']) held.push(name, async () => void undone.push(name))
  expect(held.held).toEqual(['lease', 'device', 'mount'])
  await held.unwind()
  expect(undone).toEqual(['mount', 'device', 'lease'])
  expect(held.held).toEqual([])
})

test('an undo that fails stops the unwinding, and the next try begins with it: what will not unmount is never detached', async () => {
  const undone: string[] = []
  let isBusy = true
  const held = new Unwind()
  held.push('device', async () => void undone.push('device'))
  held.push('mount', async () => {
    if (isBusy) throw new Error('busy')
    undone.push('mount')
  })
  await expect(held.unwind()).rejects.toThrow('busy')
  expect(held.held).toEqual(['device', 'mount'])
  expect(undone).toEqual([])
  isBusy = false
  await held.unwind()
  expect(undone).toEqual(['mount', 'device'])
})
