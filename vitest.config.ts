// Tests: `rooms` are the tests beside the code, two files at a time; `house` runs the whole market for real, one file after the other.
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vitest/config'

const wholeHouse = '__tests__/{flows,faults,e2e}/**/*.test.{ts,tsx}'

export default defineConfig({
  plugins: [react()],
  test: {
    environment: 'node',
    globalSetup: ['__tests__/support/global-setup.ts'],
    exclude: ['**/node_modules/**', '**/.next/**', '**/.flow402/**'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What a test waits for comes in a moment, or not at all: the wait is long so that a busy machine is not taken for a fault.
    expect: { poll: { timeout: 40_000 } },
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'rooms',
          setupFiles: ['__tests__/support/patient-queries.ts'],
          include: ['{packages,rust-lib,lib,api,gateway,clock,components,app,scripts,__tests__,db,bench}/**/*.test.{ts,tsx}'],
          exclude: ['**/node_modules/**', '**/.next/**', '**/.flow402/**', wholeHouse],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'house',
          include: [wholeHouse],
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
