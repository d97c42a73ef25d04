import { describe, expect, test } from 'vitest'
import { imageReference } from './image-reference.ts'

const SHA = 'a'.repeat(64)

describe('a reference to an image', () => {
  for (const [text, domain, path, tag, digest] of [
    ['ghost', 'docker.io', 'library/ghost', 'latest', undefined],
    ['ghost:6', 'docker.io', 'library/ghost', '6', undefined],
    ['anna/blog', 'docker.io', 'anna/blog', 'latest', undefined],
    ['docker.io/ghost', 'docker.io', 'library/ghost', 'latest', undefined],
    ['index.docker.io/ghost', 'docker.io', 'library/ghost', 'latest', undefined],
    ['ghcr.io/anna/blog', 'ghcr.io', 'anna/blog', 'latest', undefined],
    ['GHCR.io/anna/blog', 'GHCR.io', 'anna/blog', 'latest', undefined],
    ['Upper/blog', 'Upper', 'blog', 'latest', undefined],
    ['localhost/blog', 'localhost', 'blog', 'latest', undefined],
    ['registry:5000/blog', 'registry:5000', 'blog', 'latest', undefined],
    ['registry:5000/blog:2', 'registry:5000', 'blog', '2', undefined],
    ['[2001:db8::1]:5000/blog', '[2001:db8::1]:5000', 'blog', 'latest', undefined],
    ['[2001:db8::1]/blog', '[2001:db8::1]', 'blog', 'latest', undefined],
    ['127.0.0.1:5000/a/b/c', '127.0.0.1:5000', 'a/b/c', 'latest', undefined],
    ['a__b/c--d.e_f', 'docker.io', 'a__b/c--d.e_f', 'latest', undefined],
    ['blog:_x.-Y', 'docker.io', 'library/blog', '_x.-Y', undefined],
    [`ghcr.io/blog@sha256:${SHA}`, 'ghcr.io', 'blog', undefined, `sha256:${SHA}`],
    [`ghcr.io/blog:2@sha256:${SHA}`, 'ghcr.io', 'blog', '2', `sha256:${SHA}`],
    [`sha256:${SHA}`, 'docker.io', 'library/sha256', SHA, undefined],
    [`${'a'.repeat(237)}`, 'docker.io', `library/${'a'.repeat(237)}`, 'latest', undefined],
  ] as const)
    test(`"${text.slice(0, 60)}" is taken apart`, () =>
      expect(imageReference(text)).toEqual({ domain, path, tag, digest }))

  for (const [text, why] of [
    ['', 'it is empty'],
    ['Blog', '"Blog" has capital letters'],
    ['ghcr.io/Anna/blog', '"Anna" has capital letters'],
    [':1', 'it has no name before ":"'],
    [`@sha256:${SHA}`, 'it has no name before "@"'],
    ['x@sha256:abc', '"sha256:abc" is not a digest: sha256 has 64 hexadecimal digits in lower case'],
    [`x@sha256:${SHA.toUpperCase()}`, 'sha256 has 64 hexadecimal digits in lower case'],
    ['x@', '"" is not a digest'],
    [`x@md5:${'a'.repeat(32)}`, 'is not a digest; write it like @sha256:'],
    [`x@constructor:${SHA}`, 'is not a digest; write it like @sha256:'],
    ['x:', '"" is not a tag'],
    ['x:.1', '".1" is not a tag'],
    ['x:a b', '"a b" is not a tag'],
    [`x:${'1'.repeat(129)}`, 'its tag has 129 characters; 128 at most'],
    ['a/../b', '".." is not a part of a name'],
    ['..', '".." is not a part of a name'],
    ['./probe', '"." is not the host of a registry'],
    ['../../../127.0.0.1:17588/hit', '".." is not the host of a registry'],
    ['/probe', 'a part of its name is empty'],
    ['hard//probe', 'a part of its name is empty'],
    ['blog/', 'a part of its name is empty'],
    ['https://ghcr.io/x/y', 'leave the scheme away'],
    ['registry:/blog', '"" is not the port of a registry'],
    ['registry:5x/blog', '"5x" is not the port of a registry'],
    ['-a', '"-a" is not a part of a name'],
    ['a___b', '"a___b" is not a part of a name'],
    ['a..b', '"a..b" is not a part of a name'],
    ['a%2fb', '"a%2fb" is not a part of a name'],
    ['a?b=c', '"a?b=c" is not a part of a name'],
    ['a#b', '"a#b" is not a part of a name'],
    ['blög', '"blög" is not a part of a name'],
    ['a\0b', 'is not a part of a name'],
    ['a\nb', 'is not a part of a name'],
    [SHA, '64 hexadecimal digits are an id and no name; write sha256: before them'],
    ['a'.repeat(238), 'its name has 256 characters with the registry; 255 at most'],
  ] as const)
    test(`cannot be "${text.slice(0, 60)}": ${why}`, () => {
      expect(() => imageReference(text)).toThrow(why)
      expect(() => imageReference(text)).toThrow(expect.objectContaining({ code: 'bad-input' }))
    })
})
