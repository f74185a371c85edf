// Time: the port through which every verb learns what time it is.

/** Unix time in ms. Tests give their own. */
export type Now = () => number
