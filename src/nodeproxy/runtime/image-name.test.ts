import { expect, test } from 'vitest'
import { imageName, imagePath } from './image-name.ts'

const HUB = 'https://index.docker.io/v1/'
const DIGEST = `sha256:${'0a'.repeat(32)}`

for (const [image, registry, full] of [
  ['blog', HUB, 'blog:latest'],
  ['blog:2', HUB, 'blog:2'],
  ['anna/blog', HUB, 'anna/blog:latest'],
  ['docker.io/anna/blog', HUB, 'docker.io/anna/blog:latest'],
  ['ghcr.io/anna/blog', 'ghcr.io', 'ghcr.io/anna/blog:latest'],
  ['localhost/blog', 'localhost', 'localhost/blog:latest'],
  ['registry:5000/blog', 'registry:5000', 'registry:5000/blog:latest'],
  ['registry:5000/blog:2', 'registry:5000', 'registry:5000/blog:2'],
  [`ghcr.io/blog@${DIGEST}`, 'ghcr.io', `ghcr.io/blog@${DIGEST}`],
  [`ghcr.io/blog:2@${DIGEST}`, 'ghcr.io', `ghcr.io/blog:2@${DIGEST}`],
] as const) {
  test(`${image} is ${full} from ${registry}`, () => expect(imageName(image)).toEqual({ registry, full }))
}

for (const image of [
  'ghcr.io/blog@sha256:abc',
  'a/../b',
  '../../../127.0.0.1:17588/hit',
  'hard//probe',
  '/probe',
  '..',
])
  test(`${image} is no name, and makes no path`, () => {
    expect(() => imageName(image)).toThrow(expect.objectContaining({ code: 'bad-input' }))
    expect(() => imagePath(image)).toThrow(expect.objectContaining({ code: 'bad-input' }))
  })

test('a path has its parts escaped', () => {
  expect(imagePath(`[::1]:5000/a/b@${DIGEST}`)).toBe(`%5B%3A%3A1%5D%3A5000/a/b%40${encodeURIComponent(DIGEST)}`)
})
