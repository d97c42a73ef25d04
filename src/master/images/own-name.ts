import { imageReference } from '../../model/image-reference.ts'
import { MASTER_HOST } from '../../model/member.ts'

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/**
 * The image by its name in the masters' store, if its registry is the host that this call was sent to: whoever pushed `localhost:8080/blog:1`
 * registers `localhost:8080/blog:1`, and `master.shadow/blog:1` is stored. Every other name is left as it is.
 */
export function ownName(image: unknown, host: string | undefined): unknown {
  if (typeof image !== 'string' || host === undefined) return image
  const slash = image.indexOf('/')
  const domain = image.slice(0, Math.max(0, slash))
  if (!sameHost(domain, host) || imageReference(image).domain !== domain) return image
  return `${MASTER_HOST}${image.slice(slash)}`
}

function sameHost(one: string, other: string): boolean {
  if (one === '' || other === '') return false
  if (one.toLowerCase() === other.toLowerCase()) return true
  const [a, b] = [partsOf(one), partsOf(other)]
  return a.port === b.port && LOOPBACK.test(a.host) && LOOPBACK.test(b.host)
}

function partsOf(authority: string): { host: string; port: string } {
  const [, host = '', port = ''] = /^(\[[^\]]*\]|[^:]*)(?::(\d+))?$/.exec(authority) ?? []
  return { host, port }
}
