import assert from 'node:assert/strict'
import { test } from 'vitest'
import { ShadowError } from '../../lib/errors.ts'
import { failureOf, isNoCommand } from './failures.ts'

const CREATE = 'OCI runtime create failed: runc create failed: unable to start container process'

for (const [what, message, code] of [
  [
    'a hook of Docker that failed',
    `${CREATE}: error during container init: error running hook #0: error running hook: exit status 1, stdout: , stderr: level=fatal msg="no such file or directory": unknown`,
    'runtime-unreachable',
  ],
  [
    'a hook of Docker that failed, in the words of an older runc',
    'OCI runtime create failed: container_linux.go:380: process_linux.go:508: running prestart hook 0 caused: exit status 1: permission denied',
    'runtime-unreachable',
  ],
  [
    'a runc that ended before its container began',
    `${CREATE}: error during container init: writing syncT "procResume": write init-p: broken pipe: unknown`,
    'runtime-unreachable',
  ],
  [
    'a bridge that has no port left',
    'failed to create endpoint shadow-n1-blog on network shadow-n1: adding interface veth188ae33 to bridge br-2bf82bbb7a54 failed: exchange full',
    'addresses-full',
  ],
  ['a disk that is full', 'mkdir /x: no space left on device', 'disk-full'],
  ['a command that is missing', `${CREATE}: exec: "nope": executable file not found in $PATH: unknown`, 'no command'],
] as const) {
  test(`the failure is told as what it is: ${what}`, () => {
    const failure = failureOf(new Error(message), '/docker.sock')
    const told = failure instanceof ShadowError ? failure.code : isNoCommand(failure) && 'no command'
    assert.equal(told, code)
    assert.equal(isNoCommand(failure), code === 'no command')
  })
}
