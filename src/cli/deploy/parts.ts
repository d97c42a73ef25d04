import type { MasterClient } from '../../api/client.ts'
import type { Manifest } from '../manifest/manifest.ts'
import type { Stages } from './stages.ts'

export type Parts = {
  readonly name: string
  readonly manifest: Manifest
  readonly master: MasterClient
  readonly stages: Stages
  /** Build with the Docker of this machine, and send the image. */
  readonly isLocal: boolean
}
