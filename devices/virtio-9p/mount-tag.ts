/** The name of a share: for who checks one without a share, too. */

/** Longest tag, in bytes. */
export const TAG_BYTES_MAX = 32;
