const sh = (script: string): readonly string[] => ['sh', '-c', script]

/** Commands of the contract suite. Real containers have busybox; the fake runtime knows these and no others. */
export const COMMANDS = {
  both: sh('echo out; echo err >&2; exit 3'),
  cat: ['cat'],
  env: sh('echo $GREETING in $(pwd)'),
  size: sh('while read _; do stty size; done'),
  trap: sh("trap 'echo got; exit 5' INT; echo up; while :; do sleep 0.02; done"),
  sleepers: sh('sleep 1001 & sleep 1001; :'),
  other: ['sleep', '2002'],
  stubborn: sh("trap '' HUP; echo up; sleep 3003; :"),
  deaf: ['sleep', '4004'],
  missing: ['no-such-program'],
} as const
