import { expect, test } from 'vitest'
import { imageName } from './image-name.ts'

const HUB = 'https://index.docker.io/v1/'

for (const [image, registry, full] of [
  ['blog', HUB, 'blog:latest'],
  ['blog:2', HUB, 'blog:2'],
  ['anna/blog', HUB, 'anna/blog:latest'],
  ['ghcr.io/anna/blog', 'ghcr.io', 'ghcr.io/anna/blog:latest'],
  ['localhost/blog', 'localhost', 'localhost/blog:latest'],
  ['registry:5000/blog', 'registry:5000', 'registry:5000/blog:latest'],
  ['registry:5000/blog:2', 'registry:5000', 'registry:5000/blog:2'],
  ['ghcr.io/blog@sha256:abc', 'ghcr.io', 'ghcr.io/blog@sha256:abc'],
] as const) {
  test(`${image} is ${full} from ${registry}`, () => expect(imageName(image)).toEqual({ registry, full }))
}
