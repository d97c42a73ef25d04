import { socketHere } from '../../src/nodeproxy/config.ts'
import { type DockerOptions, docker as dockerAt } from '../../src/nodeproxy/runtime/docker.ts'
import type { Runtime } from '../../src/nodeproxy/runtime/runtime.ts'

/** The Docker daemon of this test, for the environment of a program that gets no other variable of ours. */
export function dockerHost(): { readonly DOCKER_HOST?: string } {
  const host = process.env['DOCKER_HOST']
  return host === undefined ? {} : { DOCKER_HOST: host }
}

/** A runtime on the Docker daemon of this test. */
export const docker = (options: DockerOptions): Runtime => dockerAt({ socketPath: socketHere(), ...options })
