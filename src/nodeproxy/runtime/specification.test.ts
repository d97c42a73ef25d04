import { expect, test } from 'vitest'
import { egress } from '../../model/egress.ts'
import { hostname } from '../../model/hostname.ts'
import { instanceId } from '../../model/instance-id.ts'
import { nodeName } from '../../model/names.ts'
import { duration, size } from '../../model/quantities.ts'
import type { TaskDefinition } from '../../model/task.ts'
import { aTask } from '../../testing/fake-app.ts'
import { specificationOf } from './specification.ts'

const specified = (changes: Partial<TaskDefinition> = {}, where: { nameServer?: string; trusts?: string } = {}) =>
  specificationOf(aTask(changes), {
    node: nodeName('n1'),
    instance: instanceId(aTask().app),
    key: instanceId(aTask().app),
    network: 'shadow-n1',
    address: undefined,
    init: true,
    limitsDisk: false,
    mountedAt: undefined,
    ...where,
  })

test('a health check of the image is not run, unless the app is ready by it', () => {
  expect(specified().Healthcheck).toEqual({ Test: ['NONE'] })
  const checked = specified({ ready: { kind: 'healthcheck' }, startWithin: duration('90s') })
  expect(checked.Healthcheck).toEqual({ StartPeriod: 90e9, StartInterval: 1e9 })
})

test('/dev/shm is as large as was said', () => {
  expect(specified().HostConfig.ShmSize).toBe(64 * 2 ** 20)
  const { limits } = aTask()
  expect(specified({ limits: { ...limits, shm: size('32MiB') } }).HostConfig.ShmSize).toBe(32 * 2 ** 20)
})

test('an app whose list names domains asks the name server of its node, and no other app does', () => {
  const dns = (list: readonly string[] | undefined) => {
    const { HostConfig } = specified({ egress: list?.map(egress) }, { nameServer: '10.1.0.1' })
    return { Dns: HostConfig.Dns, DnsSearch: HostConfig.DnsSearch }
  }
  expect(dns(['api.example.com', 'private'])).toEqual({ Dns: ['10.1.0.1'], DnsSearch: ['.'] })
  for (const list of [undefined, ['none'], ['10.0.0.5:5432', 'host:25']])
    expect(dns(list)).toEqual({ Dns: undefined, DnsSearch: undefined })
})

test('an app whose requests get secrets trusts its node, and has placeholders and no secret', () => {
  const wire = [
    {
      secret: 'KEY',
      host: hostname('api.example.com'),
      header: 'Authorization',
      format: 'Bearer {}',
      value: 'planted',
    },
  ]
  const made = specified({ wire, env: { CURL_CA_BUNDLE: '/own.pem' } }, { trusts: '/var/lib/shadow/egress/public' })
  expect(made.Env).toContain('KEY=added-by-shadow')
  expect(made.Env).toContain('SSL_CERT_FILE=/run/shadow-ca/bundle.pem')
  expect(made.Env.filter(one => one.startsWith('CURL_CA_BUNDLE='))).toEqual(['CURL_CA_BUNDLE=/own.pem'])
  expect(made.HostConfig.Mounts).toMatchObject([{ Target: '/run/shadow-ca', ReadOnly: true }])
  expect(JSON.stringify(made)).not.toContain('planted')
  expect(JSON.stringify(specified())).not.toMatch(/shadow-ca|CERT/)
})
