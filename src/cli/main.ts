// Only syntax that old versions of Node know, so that the message below can be printed. All other code is imported after the check.
if (Number.parseInt(process.versions.node, 10) < 24) {
  process.stderr.write(`error: shadow needs Node 24 or later; this is ${process.versions.node}\n`)
  process.exitCode = 1
} else {
  const { run } = await import('./run.ts')
  const { systemTerminal } = await import('./terminal.ts')
  const exitCode = await run(process.argv.slice(2), systemTerminal())
  // Handles that a daemon left open when it failed to start must not keep the process. Errors of the last write are emitted first.
  setImmediate(() => process.exit(exitCode))
}
