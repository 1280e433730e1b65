/** What a machine with firmware has beside the others: two banks of flash, and the firmware configuration device. */
import type { FileToken } from '../../actors/runtime/files.js';
import type { ActorRef } from '../../actors/runtime/protocol.js';
import type { ActorSystem } from '../../actors/runtime/system.js';
import type { FrontEndPlace } from '../../actors/shared-state/mmio/front-end.js';
import { err, ok, type Result } from '../../bus/result.js';
import { BANK_BYTES } from '../../devices/flash/cfi-table.js';
import { type FlashProtocol, flashKind } from '../../devices/flash/flash.actor.js';
import type { FlashFrontEndConfig } from '../../devices/flash/flash.front-end.js';
import { createFlashShared } from '../../devices/flash/flash-block.js';
import type { FwCfgFrontEndConfig } from '../../devices/fw-cfg/fw-cfg.front-end.js';
import type { FwCfgItem } from '../../devices/fw-cfg/items.js';
import { FW_CFG_WINDOW, MEMORY_MAP } from '../../devices/machine/memory-map.js';
import { createSharedRegisters } from '../../devices/registers/shared-registers.js';
import { whyNotStarted } from './deaths.js';

/** What the devices are made from. */
export interface FirmwareParts {
  readonly memory: WebAssembly.Memory;
  readonly block: number;
  readonly stage2: number;
  /** Where the content of each bank lies in the machine's memory; all zeros, but for the firmware. */
  readonly banks: readonly [number, number];
  readonly items: readonly FwCfgItem[];
  /** The file of the second bank; undefined: what is written there is gone with the machine. */
  readonly vars: FileToken | undefined;
}

/** The devices as they run. */
export interface FirmwareDevices {
  readonly frontEnds: readonly FrontEndPlace[];
  /** Keeps the second bank, where it has a file. */
  readonly keeper: ActorRef<FlashProtocol> | undefined;
}

const MODULE = {
  flash: new URL('../../devices/flash/flash.front-end.js', import.meta.url).href,
  fwCfg: new URL('../../devices/fw-cfg/fw-cfg.front-end.js', import.meta.url).href,
};
const CHUNK_BYTES = 1 << 20;

/** Starts them; the error is a sentence. */
export async function startFirmwareDevices(
  system: ActorSystem,
  { memory, block, stage2, banks, items, vars }: FirmwareParts,
  machine: string,
): Promise<Result<FirmwareDevices, string>> {
  const shared = [createFlashShared(), createFlashShared()] as const;
  let keeper: ActorRef<FlashProtocol> | undefined;
  if (vars !== undefined) {
    const read = readBank(system, vars, new Uint8Array(memory.buffer, banks[1], BANK_BYTES));
    if (!read.ok) return err(`${vars.label}: firmware variables: cannot be read (${read.error})`);
    const name = `${machine}-flash`;
    const started = await system.spawn(flashKind, { shared: shared[1], memory, host: banks[1], file: vars }, { name });
    if (!started.ok) return err(whyNotStarted(name, started.error));
    keeper = started.value;
  }
  const bankAt = (bank: 0 | 1): FrontEndPlace => {
    const base = MEMORY_MAP.flash.base + bank * BANK_BYTES;
    const config: FlashFrontEndConfig = {
      ...{ shared: shared[bank], memory, host: banks[bank], ipa: base },
      // The first bank holds the firmware's program, whose file belongs to the user.
      isWritable: bank === 1,
      keeper: bank === 1 ? (keeper?.actor ?? 0) : 0,
    };
    return { base, sizeBytes: BANK_BYTES, module: MODULE.flash, config };
  };
  const config: FwCfgFrontEndConfig = {
    ...{ registers: createSharedRegisters(), memory, place: { block, stage2 }, window: FW_CFG_WINDOW },
    items: items.map(({ key, bytes }) => ({ key, bytes: sharedCopy(bytes) })),
  };
  return ok({ keeper, frontEnds: [bankAt(0), bankAt(1), { ...MEMORY_MAP.fwCfg, module: MODULE.fwCfg, config }] });
}

/** Reads a bank's file. What is zero in it is left alone: the host then need not find memory for it. */
function readBank(system: ActorSystem, file: FileToken, bank: Uint8Array): Result<undefined, string> {
  const handle = system.files.use(file);
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; at < bank.length; at += CHUNK_BYTES) {
    const read = handle.read(at, chunk);
    if (!read.ok) return err(read.error.detail);
    if (read.value !== CHUNK_BYTES) return err('it became shorter meanwhile');
    if (chunk.some((byte) => byte !== 0)) bank.set(chunk, at);
  }
  return ok();
}

function sharedCopy(bytes: Uint8Array): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(bytes.length);
  new Uint8Array(copy).set(bytes);
  return copy;
}
