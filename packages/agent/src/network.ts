// Network: which network leases get.

/**
 * No network at all: nothing but loopback exists inside, so neither the host nor its private ranges can be reached, on any machine.
 * The doctor proves it; access goes through the engine's exec, which needs no address.
 */
export const leaseNetwork = 'none'
