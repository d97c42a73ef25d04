import type { Exchange } from '../../lib/http/exchange.ts'
import { ipOf } from '../../lib/ip.ts'
import type { Route } from '../../model/route.ts'
import { compileRules, type WakeRules } from '../../model/wake-rules.ts'
import { Networks } from '../networks.ts'

type Compiled = (exchange: Exchange, client: string) => string | undefined

/** Applies the rules by which requests do not wake an app. */
export class WakeGate {
  // Keyed by the rules object: a route that is read anew has a new one, and the old one is collected.
  readonly #rules = new WeakMap<WakeRules, Compiled>()

  /** The rule that the request matches, in words; undefined if it may wake the app. */
  ignoredBy({ wake }: Route, exchange: Exchange, client: string): string | undefined {
    if (wake === undefined || wake.ignore.length === 0) return undefined
    let rules = this.#rules.get(wake)
    if (rules === undefined) {
      rules = compiled(wake)
      this.#rules.set(wake, rules)
    }
    return rules(exchange, client)
  }
}

function compiled({ ignore }: WakeRules): Compiled {
  const rules = compileRules(ignore)
  const networks = new Map(ignore.flatMap(({ network }) => (network ? [[network, new Networks([network])]] : [])))
  return (exchange, client) => {
    const address = client.includes('%') ? (ipOf(client) ?? client) : client
    const { method, target } = exchange
    const agent = (): string => exchange.list('user-agent') ?? ''
    return rules({ method, target, agent, isIn: network => networks.get(network)?.has(address) === true })
  }
}
