import { expect, test } from 'vitest'
import { destinationsOf, egress } from '../../model/egress.ts'
import { type RuleInput, redirectsOf, rulesOf } from './firewall-rules.ts'

const NAMED = '10.1.0.9'
const PLAIN = '10.1.0.10'
const input: RuleInput = {
  bridge: 'br-1',
  nameServers: ['192.0.2.53'],
  frontPorts: [443],
  networks: ['10.1.0.0/18', '10.2.0.0/18'],
  apps: new Map([
    [NAMED, destinationsOf(['api.example.com', '*.example.org:8443', '10.0.0.5:5432', 'host:25'].map(egress))],
    [PLAIN, destinationsOf([egress('private')])],
  ]),
  links: [
    [NAMED, PLAIN],
    [PLAIN, NAMED],
  ],
  remembers: true,
  redirects: {
    dns: { udp: 40_053, tcp: 40_054 },
    ports: new Map([
      [80, 40_080],
      [443, 40_443],
      [8_443, 48_443],
      [9_000, 49_000],
    ]),
  },
}
const chain = (text: string, name: string) =>
  text.split('\n').flatMap(line => (line.startsWith(`-A ${name} `) ? [line.slice(name.length + 4)] : []))

test('an app with domains is led to its node for names and for the ports of its domains, but not for what is opened by address', () => {
  expect(redirectsOf(input).split('\n').slice(0, 2)).toEqual(['*nat', ':SHADOW-N-br-1 - [0:0]'])
  expect(chain(redirectsOf(input), 'SHADOW-N-br-1')).toEqual([
    `-s ${NAMED} -d ${PLAIN} -j RETURN`,
    `-s ${NAMED} -p udp --dport 53 -j REDIRECT --to-ports 40053`,
    `-s ${NAMED} -p tcp --dport 53 -j REDIRECT --to-ports 40054`,
    `-s ${NAMED} -d 10.0.0.5 -p tcp --dport 5432 -j RETURN`,
    `-s ${NAMED} -d 10.0.0.5 -p udp --dport 5432 -j RETURN`,
    `-s ${NAMED} -p tcp --dport 80 -j REDIRECT --to-ports 40080`,
    `-s ${NAMED} -p tcp --dport 443 -j REDIRECT --to-ports 40443`,
    `-s ${NAMED} -p tcp --dport 8443 -j REDIRECT --to-ports 48443`,
  ])
})

test('it is let in there, and all else of it is refused; other apps are not let in there', () => {
  const own = chain(rulesOf(input), 'SHADOW-I-br-1').filter(rule => rule.startsWith(`-s ${NAMED} `))
  expect(own.filter(rule => rule.endsWith('ACCEPT'))).toEqual([
    `-s ${NAMED} -p udp --dport 40053 -j ACCEPT`,
    ...[40_054, 40_080, 40_443, 48_443].map(port => `-s ${NAMED} -p tcp --dport ${port} -j ACCEPT`),
  ])
  expect(own.at(-1)).toBe(`-s ${NAMED} -j REJECT --reject-with icmp-admin-prohibited`)
  const forward = chain(rulesOf(input), 'SHADOW-F-br-1')
  const rejected = forward.indexOf(`-s ${NAMED} -p tcp -j REJECT --reject-with tcp-reset`)
  expect(forward[rejected - 1]).toBe(`-s ${NAMED} -p tcp --syn -m recent --name SHADOW-br-1 --set`)
  expect(forward.indexOf('-d 192.0.2.53 -p udp --dport 53 -j RETURN')).toBeGreaterThan(rejected)
  expect(rulesOf(input)).not.toContain(`-s ${PLAIN} -p tcp --dport 40`)
})

test('the networks of apps are closed before what any definition opens, and after what links open', () => {
  const forward = chain(rulesOf(input), 'SHADOW-F-br-1')
  const linked = forward.indexOf(`-s ${NAMED} -d ${PLAIN} -j ACCEPT`)
  const opened = forward.indexOf(`-s ${PLAIN} -d 10.0.0.0/8 -j RETURN`)
  for (const network of input.networks) {
    const closed = ['-p tcp -j REJECT --reject-with tcp-reset', '-j REJECT --reject-with icmp-admin-prohibited'].map(
      reject => forward.indexOf(`-d ${network} ${reject}`),
    )
    expect(Math.min(...closed)).toBeGreaterThan(linked)
    expect(Math.max(...closed)).toBeLessThan(opened)
    expect(forward.indexOf(`-d ${network} -p tcp --syn -m recent --name SHADOW-br-1 --set`)).toBeLessThan(
      Math.min(...closed),
    )
  }
  expect(chain(rulesOf({ ...input, remembers: false }), 'SHADOW-F-br-1').join()).not.toContain('recent')
})

test('without apps with domains there is nothing in the table nat', () => {
  const none = { ...input, apps: new Map([[PLAIN, destinationsOf([egress('none')])]]), redirects: undefined }
  expect(chain(redirectsOf(none), 'SHADOW-N-br-1')).toEqual([])
  expect(chain(rulesOf(none), 'SHADOW-I-br-1').filter(rule => rule.endsWith('ACCEPT'))).toEqual([])
})
