// Words for offers: what one unit is, how it is fenced, whether it can be rented now.
import type { PerUnit } from '@flow402/protocol/node'
import type { Offer } from '@flow402/protocol/offer'

/** 1024 -> "1 GB", 512 -> "512 MB", 1536 -> "1.5 GB". */
export function sizeText(megabytes: number): string {
  return megabytes < 1024 ? `${megabytes} MB` : `${Number((megabytes / 1024).toFixed(2))} GB`
}

/** 250 -> "0.25 vCPU". */
export function cpuText(cpuMillis: number): string {
  return `${Number((cpuMillis / 1000).toFixed(2))} vCPU`
}

/** The parts of one or several units, the one that is sold first. */
export function unitParts(kind: Offer['kind'], perUnit: PerUnit, units = 1): string[] {
  const ram = `${sizeText(perUnit.ramMb * units)} RAM`
  const rest = [cpuText(perUnit.cpuMillis * units), `${sizeText(perUnit.diskMb * units)} disk`]
  if (kind === 'ram') return [ram, ...rest]
  const vram = perUnit.vramMb ? ` ${sizeText(perUnit.vramMb)}` : ''
  return [`${units > 1 ? `${units} × ` : ''}${perUnit.gpuName ?? 'GPU'}${vram}`, ...rest.slice(0, 1), ram, ...rest.slice(1)]
}

/** What one unit is called in a price. */
export function unitName(offer: Pick<Offer, 'kind' | 'perUnit'>): string {
  if (offer.kind === 'gpu') return 'GPU'
  return offer.perUnit.ramMb === 1024 ? 'GB' : 'unit'
}

export const isolationWords: Record<Offer['isolation'], { name: string; meaning: string }> = {
  process: { name: 'Process', meaning: 'A plain process with limits on the provider’s system. Not a container.' },
  container: { name: 'Container', meaning: 'A container with hard limits that shares the provider’s kernel.' },
  sandboxed: { name: 'Sandboxed', meaning: 'A container behind gVisor, which keeps it off the provider’s kernel.' },
}

export const networkWords: Record<Offer['network'], { name: string; meaning: string }> = {
  none: { name: 'No network', meaning: 'The machine cannot reach anything; you reach it through the market’s tunnel.' },
  egress: { name: 'Internet', meaning: 'The machine reaches the internet, but not the provider’s own network.' },
}

/** Why an offer cannot be rented now, or null when it can. */
export function unavailableReason(offer: Pick<Offer, 'online' | 'unitsAvailable'>): string | null {
  if (!offer.online) return 'The machine is not reachable right now'
  return offer.unitsAvailable < 1 ? 'Every unit is rented right now' : null
}
