// Demux: splits Docker's multiplexed stream (8-byte header, then a payload) into its stdout and stderr.
import { Transform, type TransformCallback } from 'node:stream'

/** Calls `onChunk(kind, bytes)` for each piece: 1 stdout, 2 stderr. Frame format: Docker Engine API, "attach to a container". */
export class Demux extends Transform {
  readonly #onChunk: (kind: number, chunk: Buffer) => void
  #header = Buffer.alloc(0)
  #kind = 1
  #left = 0

  constructor(onChunk: (this: Demux, kind: number, chunk: Buffer) => void) {
    super()
    this.#onChunk = onChunk.bind(this)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#left === 0) {
        const header = Buffer.concat([this.#header, chunk.subarray(at, at + 8 - this.#header.length)])
        at += header.length - this.#header.length
        this.#header = header
        if (header.length < 8) break
        this.#kind = header.readUInt8(0)
        this.#left = header.readUInt32BE(4)
        this.#header = Buffer.alloc(0)
        continue
      }
      const piece = chunk.subarray(at, at + this.#left)
      at += piece.length
      this.#left -= piece.length
      this.#onChunk(this.#kind, piece)
    }
    done()
  }
}
