// Tests: real parts, one PostgreSQL for the run, at most two files at a time.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    environment: 'node',
    globalSetup: ['__tests__/support/global-setup.ts'],
    include: ['{packages,lib,api,gateway,clock,components,app,scripts,__tests__,db,bench}/**/*.test.{ts,tsx}'],
    exclude: ['**/node_modules/**', '**/.next/**', '**/.flow402/**'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
