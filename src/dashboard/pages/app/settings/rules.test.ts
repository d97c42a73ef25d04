import { expect, test } from 'vitest'
import type { App } from '../../../../model/app.ts'
import {
  accessBody,
  accessCommand,
  accessTexts,
  scaleBody,
  scaleCommand,
  scaleTexts,
  wakeBody,
  wakeCommand,
  wakeTexts,
} from './rules.ts'

const bare = { name: 'blog' } as App
const full = {
  name: 'blog',
  access: { allow: ['10.0.0.0/8'], deny: ['10.0.0.7'], rate: '100/s burst 200', inFlight: 5, https: 'redirect' },
  scale: { min: 1, max: 4, concurrency: { soft: 5, hard: 9 }, cpu: 70 },
  wake: { ignore: [{ agent: 'Uptime Robot', method: 'HEAD' }, { path: '/wp-*' }], answers: ['/healthz'] },
} as unknown as App

test('an app without rules shows empty fields, whose body sets none', () => {
  expect(accessBody(accessTexts(bare))).toEqual({ allow: [], deny: [] })
  expect(scaleBody(scaleTexts(bare))).toEqual({ min: 0, max: 1 })
  expect(wakeBody(wakeTexts(bare))).toEqual({ ignore: [], answers: [] })
})

test('the body of what is shown is what the app has', () => {
  expect(accessBody(accessTexts(full))).toEqual(full.access)
  expect(scaleBody(scaleTexts(full))).toEqual(full.scale)
  expect(wakeBody(wakeTexts(full))).toEqual(full.wake)
})

test('text that is no number is sent as it is', () => {
  expect(accessBody({ ...accessTexts(bare), inFlight: 'lots' })).toMatchObject({ inFlight: 'lots' })
  expect(scaleBody({ min: 'x', max: '2', concurrency: '5', cpu: '' })).toEqual({
    min: 'x',
    max: 2,
    concurrency: { soft: 5, hard: '' },
  })
})

test('the commands replace all rules too', () => {
  expect(accessCommand('blog', accessTexts(full))).toBe(
    "shadow access blog --clear --allow 10.0.0.0/8 --deny 10.0.0.7 --rate '100/s burst 200' --https redirect --in-flight 5",
  )
  expect(scaleCommand('blog', scaleTexts(bare))).toBe(
    'shadow scale blog --min 0 --max 1 --concurrency default --target-cpu default',
  )
  expect(wakeCommand('blog', wakeTexts(full))).toBe(
    "shadow wake-rules blog --clear --ignore 'agent:Uptime Robot method:HEAD' --ignore 'path:/wp-*' --answer /healthz",
  )
})
