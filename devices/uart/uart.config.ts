/** How a PL011's parts find each other: register state, the two byte streams between front end and console actor. */

/** Plain data and shared memory; the same for every vCPU. */
export interface UartConfig {
  /** Register state (registers/shared-registers.ts). */
  readonly registers: SharedArrayBuffer;
  /** Bytes the guest sends, on their way to the console actor (byte stream). */
  readonly transmitted: SharedArrayBuffer;
  /** Interrupt number of the UART. */
  readonly intid: number;
}

/** What a UART's front end needs. */
export interface UartFrontEndConfig extends UartConfig {
  /** The console actor's number. */
  readonly console: number;
}
