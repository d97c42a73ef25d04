import type { z } from 'zod'
import type { MasterClient } from '../../api/client.ts'
import type { SessionViewSchema } from '../../api/session-schemas.ts'
import { ShadowError } from '../../lib/errors.ts'
import { isImageTemplate } from '../../model/image-session.ts'
import { sessionParts } from '../../model/session.ts'

type View = z.output<typeof SessionViewSchema>
type Wanted = {
  readonly template?: string | undefined
  readonly name?: string | undefined
  readonly env?: Record<string, string> | undefined
}

/** The sandboxes that a client of the MCP server may see: all that the token may, or those of one template. */
export class Sandboxes {
  readonly #master: MasterClient
  readonly #only: string | undefined
  /** The URLs with tokens of the sandboxes that this server has made or joined: a token is told once. */
  readonly #urls = new Map<string, string>()

  constructor(master: MasterClient, only: string | undefined) {
    this.#master = master
    this.#only = only
  }

  /** Fails with `bad-input` for a name that is of no sandbox, and `forbidden` for one of another template. */
  mustBe(sandbox: string): string {
    const template = sessionParts(sandbox)?.template
    if (template === undefined)
      throw new ShadowError('bad-input', `${JSON.stringify(sandbox)} is not the name of a sandbox`, {
        hint: 'list_sandboxes shows their names; create_sandbox makes one',
      })
    if (this.#only === undefined || template === this.#only) return sandbox
    throw new ShadowError(
      'forbidden',
      `${sandbox} is of the template ${template}, and this server is for ${this.#only}`,
    )
  }

  async create({ template = this.#only, name, env = {} }: Wanted, signal: AbortSignal) {
    if (template === undefined)
      throw new ShadowError('bad-input', 'no template is named', { hint: 'name one that shadow template ls shows' })
    if (this.#only !== undefined && template !== this.#only)
      throw new ShadowError('forbidden', `this server makes sandboxes of ${this.#only} alone, and not of ${template}`)
    const body = { template, spawn: { env }, ...(name !== undefined && { key: { name } }) }
    const connected = await this.#master.call('connectSession', { body, signal })
    this.#urls.set(connected.session, connected.url)
    return connected
  }

  async list(signal: AbortSignal): Promise<readonly View[]> {
    const query = this.#only === undefined ? {} : { template: this.#only }
    const found: View[] = []
    let after: string | null = null
    do {
      const page: { items: View[]; next: string | null } = await this.#master.call('listSessions', {
        query: { ...query, ...(after !== null && { after }) },
        signal,
      })
      found.push(...page.items)
      after = page.next
    } while (after !== null)
    return found
  }

  /** The URL for a visitor, of the main port or of another one. */
  async url(sandbox: string, port: number | undefined, signal: AbortSignal): Promise<string> {
    const url = new URL(await this.#urlOf(sandbox, signal))
    if (port === undefined) return url.href
    const { session } = await this.#master.call('getApp', { params: { app: sandbox }, signal })
    if (session !== undefined && session.ports !== 'all')
      throw new ShadowError('port-not-open', `the template of ${sandbox} opens the main port alone, not ${port}`, {
        hint: `somebody has to open them, for new sandboxes: shadow template set ${session.template} --ports all`,
      })
    url.hostname = `${port}-${url.hostname}`
    return url.href
  }

  async #urlOf(sandbox: string, signal: AbortSignal): Promise<string> {
    const known = this.#urls.get(sandbox)
    if (known !== undefined) return known
    const { key, template, url } = await this.#master.call('getSession', { params: { session: sandbox }, signal })
    // The token was told to whoever has made the session; it takes the image to ask for another one.
    if (key === null || isImageTemplate(template)) return url
    const body = { template, key, spawn: null }
    const connected = await this.#master.call('connectSession', { body, signal })
    this.#urls.set(sandbox, connected.url)
    return connected.url
  }

  async end(sandbox: string, kind: 'soft' | 'hard', signal: AbortSignal): Promise<View> {
    this.#urls.delete(sandbox)
    return this.#master.call('endSession', { params: { session: sandbox }, query: { kind }, signal })
  }
}
