/** An image's name as Docker takes it apart: where it is pulled from, and the name with its tag said. */
export type ImageName = { readonly registry: string; readonly full: string }

const DOCKER_HUB = 'https://index.docker.io/v1/'

/** Takes an image's name apart. Without a tag or digest it is `latest`: Docker's API would pull every tag there is. */
export function imageName(image: string): ImageName {
  const [first = '', ...rest] = image.split('/')
  // As Docker tells a registry from a person on Docker Hub: by a dot, a port, or being localhost.
  const hasRegistry = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  const last = rest.at(-1) ?? first
  const isTagged = image.includes('@') || last.includes(':')
  return { registry: hasRegistry ? first : DOCKER_HUB, full: isTagged ? image : `${image}:latest` }
}
