// The node as main.test.ts has it, with two workers that share its port.
process.env['SHADOW_TEST_WORKERS'] = '2'
await import('./main.test.ts')
