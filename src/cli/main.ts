// In words that an old Node understands, so that it can say that it is too old; everything else is loaded behind it.
if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(`error: shadow needs Node 24 or later; this is ${process.versions.node}\n`)
  process.exitCode = 1
} else {
  const { run } = await import('./run.ts')
  const { systemTerminal } = await import('./terminal.ts')
  const exitCode = await run(process.argv.slice(2), systemTerminal())
  // What a daemon that could not start has left open must not keep it here. Errors of the last write are heard first.
  setImmediate(() => process.exit(exitCode))
}
