/** The Docker daemon of this test, for the environment of a program that gets no other variable of ours. */
export function dockerHost(): { readonly DOCKER_HOST?: string } {
  const host = process.env['DOCKER_HOST']
  return host === undefined ? {} : { DOCKER_HOST: host }
}
