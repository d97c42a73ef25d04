import type { tokenCalls } from '../../api/token-calls.ts'
import { ShadowError } from '../../lib/errors.ts'
import { isWithin, type Scope } from '../../model/scope.ts'
import type { Handlers } from '../call.ts'
import type { Caller } from '../known-callers.ts'
import type { Tokens } from '../tokens.ts'
import { scopeOf } from './permission.ts'

type Token = { readonly name: string; readonly role: string; readonly apps?: Scope | undefined }

/** The handlers of the calls about tokens. An owner has those of its own name that are for no more apps than the one that it shows. */
export function tokenHandlers(tokens: Tokens): Pick<Handlers, keyof typeof tokenCalls> {
  const isOwn = (caller: Caller | undefined, { name, role, apps = [] }: Token): boolean => {
    const scope = scopeOf(caller)
    return scope === undefined || (role === 'owner' && name === caller?.name && isWithin(apps, scope))
  }
  return {
    async createToken({ body: { name, role, apps } }, { caller }) {
      if (!isOwn(caller, { name, role, apps }))
        throw new ShadowError(
          'forbidden',
          `this token may make tokens of the role owner that are called ${caller?.name} and are for the apps ${caller?.apps?.join(', ')}, or for fewer`,
        )
      return { value: await tokens.create(name, role, apps) }
    },
    async listTokens(_, { caller }) {
      const items = (await tokens.list()).filter(token => isOwn(caller, token))
      return { value: { items: items.map(({ apps, ...token }) => ({ ...token, ...(apps && { apps: [...apps] }) })) } }
    },
    async removeToken({ params: { token: id } }, { caller }) {
      const found = scopeOf(caller) === undefined ? undefined : (await tokens.list()).find(token => token.id === id)
      // Of tokens of others an owner learns nothing, not even that they are there.
      await tokens.remove(found !== undefined && !isOwn(caller, found) ? '' : id)
    },
  }
}
