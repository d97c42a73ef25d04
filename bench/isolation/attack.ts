// The attackers of bench/isolation.ts: node attack.ts '{"front": …, "tls": …, "master": …, "seconds": …}'. Prints how often each attack was made.
import { attacks, type Place } from './attacks.ts'

const place: Place = JSON.parse(process.argv[2] ?? '{}')
const signal = AbortSignal.timeout(place.seconds * 1_000)
const made: Record<string, number> = {}
// An attacker continues after errors of its own: they are no finding.
process.on('uncaughtException', () => {
  made['(stumbled)'] = (made['(stumbled)'] ?? 0) + 1
})
process.setMaxListeners(0)

const isAsked = (name: string): boolean => place.only.length === 0 || place.only.some(word => name.startsWith(word))
const running = Object.entries(attacks)
  .filter(([name]) => isAsked(name))
  .map(([name, attack]) => {
    made[name] = 0
    return attack(place, signal, () => {
      made[name] = (made[name] ?? 0) + 1
    })
  })
await Promise.race([Promise.all(running), new Promise(over => setTimeout(over, (place.seconds + 15) * 1_000))])
process.stdout.write(JSON.stringify(made), () => process.exit())
