import type { keyCalls } from '../../api/key-calls.ts'
import type { Handlers } from '../call.ts'
import { isOwn, mustNameOwn } from '../owners/permission.ts'
import type { Storage } from '../storage/storage.ts'
import { hostFingerprint } from './host-key.ts'
import type { SshKeys } from './keys.ts'
import type { SshServer } from './server.ts'

type KeyHandlers = Pick<Handlers, keyof typeof keyCalls>

type Parts = {
  readonly keys: SshKeys
  readonly storage: Storage
  /** The SSH server of this master, if it has one. */
  readonly server: () => Pick<SshServer, 'port' | 'hostKey'> | undefined
}

/** The calls about keys of SSH. */
export function keyHandlers({ keys, storage, server }: Parts): KeyHandlers {
  const here = () => {
    const serving = server()
    return serving === undefined ? null : { port: serving.port, hostKey: serving.hostKey }
  }
  return {
    async addSshKey({ body: { name, publicKey, apps } }, { caller }) {
      mustNameOwn(caller, apps)
      return { value: await keys.add(name, publicKey, apps) }
    },
    async listSshKeys(_, { caller }) {
      const items = (await keys.list()).filter(({ apps }) => isOwn(caller, apps))
      return { value: { items, host: await hostFingerprint(storage), server: here() } }
    },
    // Of a key of others an owner learns nothing, not even that it is there.
    removeSshKey: ({ params }, { caller }) => keys.remove(params.key, ({ apps }) => isOwn(caller, apps)),
  }
}
