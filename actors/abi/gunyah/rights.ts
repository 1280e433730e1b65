/** Rights bits of capabilities (gunyah.md 2.3), 32-bit masks. */

/** Any object: it may be configured and activated. */
export const RIGHT_ACTIVATE = 0x8000_0000;
/** What a master capability carries. */
export const ALL_RIGHTS = 0xffff_ffff;

/** Rights by kind of object. */
export const RIGHTS = {
  partition: { create: 1, donate: 2 },
  cspace: { create: 1, delete: 2, copy: 4, attach: 8, revoke: 0x10 },
  addrspace: { attach: 1, map: 2, lookup: 4, addVmmioRange: 8 },
  memextent: { map: 1, derive: 2, attach: 4, lookup: 8, donate: 0x10 },
  thread: {
    power: 1,
    affinity: 2,
    priority: 4,
    timeslice: 8,
    yieldTo: 0x10,
    bindVirq: 0x20,
    state: 0x40,
    lifecycle: 0x80,
    writeContext: 0x100,
    disable: 0x200,
  },
  doorbell: { send: 1, receive: 2, bind: 4 },
  messageQueue: { send: 1, receive: 2, bindSend: 4, bindReceive: 8 },
  vic: { bindSource: 1, attachVcpu: 2, attachVdevice: 4 },
  hwirq: { bindVic: 2 },
  powerGroup: { attachVcpu: 1, bindVirq: 2, query: 4 },
  watchdog: { attachVcpu: 1, bindVirq: 2, manage: 4 },
  virtioMmio: { bindBackend: 1, bindFrontend: 2, assert: 4, config: 8 },
} as const;
