const USUAL = '/var/run/docker.sock'

/**
 * The socket of this machine's Docker: that of DOCKER_HOST, which docker's own client follows too, or the usual one. A Docker on another
 * machine (tcp://, ssh://) cannot mount the volumes of this one, so it is not followed.
 */
export const socketHere = (dockerHost: string | undefined): string =>
  /^unix:\/\/(.+)$/.exec(dockerHost ?? '')?.[1] ?? USUAL
