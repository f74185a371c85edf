// The part of tar-stream that the base image uses; the package ships no types.
declare module 'tar-stream' {
  import type { Readable, Writable } from 'node:stream'
  export type Header = {
    name: string
    type?: 'file' | 'directory' | 'symlink'
    mode?: number
    size?: number
    linkname?: string
    mtime?: Date
  }
  export type Pack = Readable & {
    entry(header: Header, content?: string | Buffer | ((error?: Error) => void), done?: (error?: Error) => void): Writable
    finalize(): void
  }
  export function pack(): Pack
}
