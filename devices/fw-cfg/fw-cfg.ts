/**
 * QEMU's firmware configuration device, as a pure model (QEMU, docs/specs/fw_cfg.rst): numbered items that firmware reads
 * byte by byte or has copied into its memory. Registers and DMA descriptor are big-endian; data keeps the order of its bytes.
 * An item that is not there reads as zeros, and so does what lies beyond an item's end, as on QEMU.
 */
import { MIB } from '../machine/loaders/placement.js';

/** Register offsets in the window of `virt`. */
const AT = { data: 0, selector: 8, dma: 16 } as const;
/** What the DMA register reads as: "QEMU CFG". */
const SIGNATURE = Uint8Array.from('QEMU CFG', (letter) => letter.charCodeAt(0));
/** FWCfgDmaAccess: control, length, address. */
const DESCRIPTOR_BYTES = 16;
const CONTROL = { error: 1, read: 2, skip: 4, select: 8, write: 16 } as const;
/** A key without the bits that ask for writing and for items of the architecture, of which `virt` has none. */
const KEY_MASK = 0x3fff;
/** Guest memory is left between two pieces of a long transfer. */
const PIECE_BYTES = 4 * MIB;
const ZEROS = new Uint8Array(MIB);

/** Guest memory, through the VM's stage-2 map; false: refused, perhaps with a part copied. */
export interface DmaMemory {
  copyOut(ipa: number, into: Uint8Array): boolean;
  copyIn(ipa: number, from: Uint8Array): boolean;
}

/** Numbers only, so that it can lie in shared memory. */
export interface FwCfgState {
  key: number;
  /** Next byte of the item. */
  offset: number;
  /** Upper half of a descriptor's address. */
  dmaHigh: number;
}

/** See the head of this file. Loads and stores never fail. */
export class FwCfg {
  readonly state: FwCfgState = { key: 0, offset: 0, dmaHigh: 0 };
  readonly #items: ReadonlyMap<number, Uint8Array>;
  readonly #memory: DmaMemory;

  constructor(items: ReadonlyMap<number, Uint8Array>, memory: DmaMemory) {
    this.#items = items;
    this.#memory = memory;
  }

  /** A load of 1, 2, 4 or 8 bytes, as the little-endian guest sees it. */
  read(offset: number, bytes: number): bigint {
    let value = 0n;
    if (offset === AT.data) {
      const item = this.#item();
      for (let i = 0; i < bytes && this.state.offset < item.length; i++)
        value |= BigInt(item[this.state.offset++] ?? 0) << BigInt(8 * i);
    } else if (offset >= AT.dma) {
      for (let i = 0; i < bytes; i++) value |= BigInt(SIGNATURE[offset - AT.dma + i] ?? 0) << BigInt(8 * i);
    }
    return value;
  }

  /** A store. Data cannot be written. */
  write(offset: number, bytes: number, value: bigint): void {
    const swapped = swap(value, bytes);
    if (offset === AT.selector && bytes === 2) this.#select(Number(swapped));
    else if (offset === AT.dma && bytes === 4) this.state.dmaHigh = Number(swapped);
    else if (offset === AT.dma + 4 && bytes === 4) this.#transfer(this.state.dmaHigh, Number(swapped));
    else if (offset === AT.dma && bytes === 8) this.#transfer(Number(swapped >> 32n), Number(swapped & 0xffff_ffffn));
  }

  #select(key: number): void {
    this.state.key = key & KEY_MASK;
    this.state.offset = 0;
  }

  #item(): Uint8Array {
    return this.#items.get(this.state.key) ?? ZEROS.subarray(0, 0);
  }

  #transfer(high: number, low: number): void {
    this.state.dmaHigh = 0;
    const at = high * 2 ** 32 + low;
    const bytes = new Uint8Array(DESCRIPTOR_BYTES);
    const view = new DataView(bytes.buffer);
    const answer = (control: number): void => {
      view.setUint32(0, control, false);
      this.#memory.copyIn(at, bytes.subarray(0, 4));
    };
    if (!this.#memory.copyOut(at, bytes)) {
      answer(CONTROL.error);
      return;
    }
    const [control, lengthBytes] = [view.getUint32(0, false), view.getUint32(4, false)];
    const address = view.getUint32(8, false) * 2 ** 32 + view.getUint32(12, false);
    if ((control & CONTROL.select) !== 0) this.#select(control >>> 16);
    // QEMU looks at the directions in this order; a descriptor without any is done at once.
    if ((control & CONTROL.read) !== 0) answer(this.#copy(address, lengthBytes) ? 0 : CONTROL.error);
    else if ((control & CONTROL.write) !== 0) answer(lengthBytes === 0 ? 0 : CONTROL.error);
    else {
      if ((control & CONTROL.skip) !== 0) this.#skip(lengthBytes);
      answer(0);
    }
  }

  #skip(bytes: number): void {
    this.state.offset = Math.min(this.state.offset + bytes, this.#item().length);
  }

  /** Copies from the item, and zeros from its end on. */
  #copy(address: number, lengthBytes: number): boolean {
    const item = this.#item();
    for (let done = 0; done < lengthBytes; ) {
      const { offset } = this.state;
      const rest = lengthBytes - done;
      const piece =
        offset < item.length
          ? item.subarray(offset, offset + Math.min(rest, PIECE_BYTES))
          : ZEROS.subarray(0, Math.min(rest, ZEROS.length));
      if (!this.#memory.copyIn(address + done, piece)) return false;
      this.#skip(piece.length);
      done += piece.length;
    }
    return true;
  }
}

function swap(value: bigint, bytes: number): bigint {
  let swapped = 0n;
  for (let i = 0; i < bytes; i++) swapped = (swapped << 8n) | ((value >> BigInt(8 * i)) & 0xffn);
  return swapped;
}
