// WebSocket subscriptions: slots, signatures, accounts and logs, in a validator's PubSub format.
import type { Address } from '@solana/kit'
import type { WebSocket } from 'ws'
import type { Chain, Commitment } from './chain.ts'
import type { LandedTransaction } from './chain-records.ts'
import { parseJson, writeJson } from './json.ts'
import { errorResponse, readRequest } from './rpc/dispatch.ts'
import { accountEncodingParam, encodeAccount } from './rpc/encode-account.ts'
import { addressParam, arrayParam, type Config, commitmentParam, configParam, signatureParam } from './rpc/params.ts'
import { invalidParams, RpcError } from './rpc/rpc-error.ts'

interface Subscription {
  onSlot?: (slot: number) => void
  onLanded?: (landed: LandedTransaction) => void
  commitment: Commitment
}

// A reader this far behind is cut off, or its unread notifications would fill the memory.
const mostUnreadBytes = 16 << 20
const mostSubscriptionsPerSocket = 1000
const mostSlotsPerTick = 32

/** All subscriptions of all sockets. */
export class Subscriptions {
  private readonly chain: Chain
  private readonly sockets = new Map<WebSocket, Map<number, Subscription>>()
  private notFinal: LandedTransaction[] = []
  private lastId = 0
  private lastSlot: number

  constructor(chain: Chain) {
    this.chain = chain
    this.lastSlot = chain.slot('processed')
    chain.onLanded((landed) => {
      this.notFinal.push(landed)
      this.deliver(landed, (commitment) => commitment !== 'finalized')
    })
    chain.onDropped((signatures) => {
      this.notFinal = this.notFinal.filter((landed) => !signatures.includes(landed.signature))
    })
  }

  /** Serves a socket until it closes. */
  connect(socket: WebSocket): void {
    this.sockets.set(socket, new Map())
    socket.on('close', () => this.sockets.delete(socket))
    socket.on('error', () => socket.terminate())
    socket.on('message', (data) => this.answer(socket, String(data)))
  }

  /** To be called about once a slot: tells of new slots and of transactions that became final. */
  tick(): void {
    const slot = this.chain.slot('processed')
    const final = this.chain.slot('finalized')
    while (this.notFinal[0] && this.notFinal[0].slot <= final) {
      const [landed] = this.notFinal.splice(0, 1)
      if (landed) this.deliver(landed, (commitment) => commitment === 'finalized')
    }
    for (let next = Math.max(this.lastSlot + 1, slot - mostSlotsPerTick + 1); next <= slot; next++) {
      for (const subscriptions of this.sockets.values()) {
        for (const subscription of [...subscriptions.values()]) subscription.onSlot?.(next)
      }
    }
    this.lastSlot = slot
  }

  private deliver(landed: LandedTransaction, isDue: (commitment: Commitment) => boolean): void {
    for (const subscriptions of this.sockets.values()) {
      for (const subscription of [...subscriptions.values()]) {
        if (isDue(subscription.commitment)) subscription.onLanded?.(landed)
      }
    }
  }

  private answer(socket: WebSocket, text: string): void {
    let id: unknown = null
    try {
      const request = readRequest(parseJson(text))
      // Keep-alives come as notifications; nobody waits for an answer to them.
      if (request.id === undefined) return
      id = request.id
      const kind = request.method.match(/^(slot|signature|account|logs)(Subscribe|Unsubscribe)$/)
      if (!kind) throw new RpcError(-32601, 'Method not found')
      if (kind[2] === 'Unsubscribe') {
        const [number] = request.params
        if (!this.sockets.get(socket)?.delete(Number(number))) throw new RpcError(-32602, 'Invalid subscription id.')
        send(socket, { jsonrpc: '2.0', id, result: true })
      } else this.subscribe(socket, id, kind[1] ?? '', request.params)
    } catch (error) {
      send(socket, errorResponse(id, error instanceof SyntaxError ? new RpcError(-32700, 'Parse error') : error))
    }
  }

  private subscribe(socket: WebSocket, requestId: unknown, kind: string, params: readonly unknown[]): void {
    const subscriptions = this.sockets.get(socket)
    if (!subscriptions) return
    if (subscriptions.size >= mostSubscriptionsPerSocket) throw new RpcError(-32600, 'too many subscriptions on this socket')
    this.lastId += 1
    const id = this.lastId
    const notify = (method: string, result: unknown) => send(socket, { jsonrpc: '2.0', method, params: { result, subscription: id } })
    const stop = () => subscriptions.delete(id)
    const [target, configValue] = params
    const config = configParam(kind === 'slot' ? undefined : configValue)

    if (kind === 'slot') {
      const onSlot = (slot: number) => notify('slotNotification', { slot, parent: slot - 1, root: this.chain.slot('finalized') })
      subscriptions.set(id, { commitment: 'processed', onSlot })
      send(socket, { jsonrpc: '2.0', id: requestId, result: id })
      return
    }
    const commitment = commitmentParam(config)
    if (kind === 'account') subscriptions.set(id, { commitment, onLanded: this.accountListener(addressParam(target), config, notify) })
    if (kind === 'logs') subscriptions.set(id, { commitment, onLanded: this.logsListener(target, commitment, notify) })
    if (kind !== 'signature') {
      send(socket, { jsonrpc: '2.0', id: requestId, result: id })
      return
    }

    const signature = signatureParam(target)
    const tell = (err: unknown, slot: number) => {
      stop()
      notify('signatureNotification', { context: { slot: this.contextSlot(commitment, slot) }, value: { err } })
    }
    subscriptions.set(id, {
      commitment,
      onLanded: (landed) => {
        if (landed.signature === signature) tell(landed.err, landed.slot)
      },
    })
    send(socket, { jsonrpc: '2.0', id: requestId, result: id })
    // One that landed before anybody asked is told of at once.
    const entry = this.chain.history.find(signature)
    if (entry && entry.slot <= this.chain.slot(commitment)) tell(entry.err, entry.slot)
  }

  private accountListener(address: Address, config: Config, notify: (method: string, result: unknown) => void) {
    const how = accountEncodingParam(config)
    const commitment = commitmentParam(config)
    return (landed: LandedTransaction): void => {
      if (!landed.accounts.some(([written]) => written === address)) return
      const account = this.chain.accountAt(address, this.chain.slot(commitment))
      const value = encodeAccount(account, how, (mint) => this.chain.accounts.decimalsOf(mint)) ?? {
        data: ['', 'base64'],
        executable: false,
        lamports: 0,
        owner: '11111111111111111111111111111111',
        rentEpoch: 0,
        space: 0,
      }
      notify('accountNotification', { context: { slot: this.contextSlot(commitment, landed.slot) }, value })
    }
  }

  private logsListener(filter: unknown, commitment: Commitment, notify: (method: string, result: unknown) => void) {
    const mentioned = filter === 'all' || filter === 'allWithVotes' ? undefined : mentionOf(filter)
    return (landed: LandedTransaction): void => {
      if (mentioned !== undefined && !landed.addresses.includes(mentioned)) return
      const value = { signature: landed.signature, err: landed.err, logs: landed.logs }
      notify('logsNotification', { context: { slot: this.contextSlot(commitment, landed.slot) }, value })
    }
  }

  private contextSlot(commitment: Commitment, landedSlot: number): number {
    return Math.max(landedSlot, this.chain.slot(commitment))
  }
}

function mentionOf(filter: unknown): Address {
  const mentions = arrayParam(configParam(filter).mentions, 'mentions', 1)
  if (mentions.length !== 1) throw invalidParams('Invalid Request: Only 1 address supported')
  return addressParam(mentions[0])
}

function send(socket: WebSocket, message: unknown): void {
  if (socket.bufferedAmount > mostUnreadBytes) socket.terminate()
  else if (socket.readyState === socket.OPEN) socket.send(writeJson(message))
}
