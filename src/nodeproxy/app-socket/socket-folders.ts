import { createHash } from 'node:crypto'
import type { InstanceId } from '../../model/instance-id.ts'

/** Where containers find the socket. */
export const SOCKET_FOLDER = '/run/shadow'
const SOCKET_FILE = 'shadow.sock'
export const SOCKET_PATH = `${SOCKET_FOLDER}/${SOCKET_FILE}`

/** The folder on this machine that is mounted into the container of the instance. Its name is short, since ids may be long. */
export const socketFolderOf = (folder: string, instance: InstanceId): string =>
  `${folder}/${createHash('sha256').update(instance).digest('hex').slice(0, 24)}`

export const socketFileIn = (folder: string): string => `${folder}/${SOCKET_FILE}`
