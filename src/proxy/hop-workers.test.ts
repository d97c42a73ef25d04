// Fronts and nodes as hop.test.ts has them, with two workers in each front.
process.env['SHADOW_TEST_WORKERS'] = '2'
await import('./hop.test.ts')
