import type { ClientSession } from '../../api/exec-client.ts'
import type { SessionStart } from '../../api/exec-schemas.ts'

type Start = Partial<Pick<Extract<SessionStart, { kind: 'exec' }>, 'env' | 'tty'>> & { kind: 'exec'; command: string[] }
/** Opens a session in the app that the connection is for. */
export type OpenSession = (
  start: Start | Extract<SessionStart, { kind: 'tcp' }>,
  signal: AbortSignal,
) => Promise<ClientSession>
