/**
 * A driver that means harm: rings and chains that are nearly right or not at all, which change while the device reads them.
 * It watches every page the device looks up and every view it takes, so that what is outside the guest, or without the
 * right, is noticed at the access and not only by canaries. All of it follows from one seed.
 */
import type { Random } from '../../actors/runtime/random.js';
import { STAGE2_RIGHTS } from '../../actors/shared-state/stage2/stage2-map.js';
import type { VirtioDevice } from '../../devices/virtio/virtio-device.js';
import { DESCRIPTOR, FEATURE, featureWords } from '../../devices/virtio/wire.js';
import { GUEST_AT, REGISTER, type Ring, VirtioDriver } from './virtio-driver.js';

const PAGE = 4096;
/** Pages of the guest: two for each of three rings, indirect tables, data, then one read-only, one not there, and a last one. */
const TABLE_PAGE = 6;
const TABLE_PAGES = 5;
const DATA_PAGE = TABLE_PAGE + TABLE_PAGES;
const DATA_PAGES = 10;
const FROZEN_PAGE = DATA_PAGE + DATA_PAGES;
const PAGES = FROZEN_PAGE + 3;
const { read, all } = STAGE2_RIGHTS;
const RIGHTS = Array.from({ length: PAGES }, (_, page) =>
  page === FROZEN_PAGE ? read : page === FROZEN_PAGE + 1 ? 0 : all,
);
const TABLE = GUEST_AT + TABLE_PAGE * PAGE;
const DATA = GUEST_AT + DATA_PAGE * PAGE;
const DATA_BYTES = DATA_PAGES * PAGE;
const TRANSPORT = [FEATURE.indirectDescriptors, FEATURE.eventIndex] as const;
/** Entries of a ring, at most: its table fills a page. */
const RING_MAX = 256;
/** Pages looked up in one turn of a device: 64 chains of 1024 segments and their tables, with some to spare. */
const LOOKS_MAX = 4_000_000;
/** Changes made while a device is at work on one batch: it must come to an end. */
const CHANGES_MAX = 48;

/** What a driver would send: bytes for the device to read, then room for it to write. */
export interface Request {
  readonly out: Uint8Array;
  readonly inBytes: number;
}

interface Segment {
  address: bigint;
  bytes: number;
  flags: number;
}

/** See the head of this file. */
export class HostileDriver {
  readonly driver = new VirtioDriver(RIGHTS);
  /** Chains offered so far. */
  chains = 0;
  /** How often something was changed under the device's hands. */
  changes = 0;
  /** Chains the device has given back. */
  served = 0;
  random: Random;
  #queueSizes: readonly number[] = [];
  #features: readonly number[] = [];
  #rings: Ring[] = [];
  #before: readonly Uint8Array[] = [];
  #looks = 0;
  #changesLeft = 0;
  #slot = 0;
  /** How rarely something is wrong in this life: some get far, most end soon. */
  #calm = 1;

  constructor(random: Random) {
    this.random = random;
  }

  /** Whatever the device does from here on is watched. `features`: positions it offers beside the transport's. */
  watch(device: VirtioDevice, queueSizes: readonly number[], features: readonly number[]): void {
    this.#queueSizes = queueSizes.map((size) => Math.min(size, RING_MAX));
    this.#features = features;
    this.#before = this.driver.untouchable.map((memory) => memory.slice());
    const { window } = device;
    const host = window.host.bind(window);
    const runs = window.runs.bind(window);
    window.host = (ipa, rights) => {
      if (++this.#looks > LOOKS_MAX) throw new Error('the device looks up pages without end');
      this.meddle();
      const at = host(ipa, rights);
      const allowed = this.driver.allowed(ipa, rights);
      if (at !== allowed) throw new Error(`rights ${rights} at ${ipa.toString(16)}: ${at} instead of ${allowed}`);
      return at;
    };
    const storePair = window.storePair.bind(window);
    window.storePair = (ipa, first, second) => {
      this.served++;
      return storePair(ipa, first, second);
    };
    window.runs = (ipa, bytes, rights, into) => {
      const first = into.length;
      const done = runs(ipa, bytes, rights, into);
      for (const view of into.slice(first)) {
        if (!this.driver.isFrame(view.byteOffset, view.byteLength)) throw new Error('a view of what is not the guest');
      }
      return done;
    };
  }

  /** Says what was written that must not be. */
  checkMemory(): void {
    for (const [i, memory] of this.driver.untouchable.entries()) {
      if (Buffer.compare(memory, this.#before[i] ?? memory) !== 0)
        throw new Error(`memory outside the guest: part ${i}`);
    }
  }

  /** Changes something now and then, while that is allowed: called wherever the device has its hands in guest memory. */
  meddle(): void {
    if (this.#changesLeft === 0 || !this.random.oneIn(3)) return;
    this.#changesLeft--;
    this.changes++;
    this.#change();
  }

  /** Runs `turns` while nothing (`changing` false) or everything may change under the device's hands. */
  batch(changing: boolean, turns: () => void): void {
    this.#looks = 0;
    this.#changesLeft = changing ? CHANGES_MAX : 0;
    try {
      turns();
    } finally {
      this.#changesLeft = 0;
    }
  }

  /** Resets the device and drives it anew, its rings in places that are sometimes no places for rings. */
  begin(): void {
    const { driver, random } = this;
    this.#calm = random.oneIn(3) ? 1 : 12;
    const accepted = [FEATURE.version1, ...[...TRANSPORT, ...this.#features].filter(() => !random.oneIn(3))];
    driver.negotiate(featureWords(accepted));
    this.#rings = this.#queueSizes.map((max, index) => this.#ring(index, max));
    for (const ring of this.#rings) {
      if (!random.oneIn(12 * this.#calm)) driver.setUp(ring);
    }
    driver.go();
  }

  #ring(index: number, max: number): Ring {
    const { random } = this;
    const base = GUEST_AT + index * 2 * PAGE;
    for (let page = 0; page < 2; page++) {
      const at = this.driver.host(base + page * PAGE);
      this.driver.bytes.fill(0, at, at + PAGE);
    }
    const good = { index, size: 1 << random.below(Math.log2(max) + 1), descriptors: base, available: base + PAGE };
    const ring = { ...good, used: base + PAGE + 1024 };
    if (!random.oneIn(8 * this.#calm)) return ring;
    const place = (align: number): number => this.#somewhere(random.oneIn(4) ? 1 : align);
    switch (random.below(5)) {
      case 0: // the used ring on top of what the device reads
        return { ...ring, used: random.oneIn(2) ? ring.available : ring.descriptors };
      case 1:
        return { ...ring, descriptors: place(16) };
      case 2:
        return { ...ring, available: place(2) };
      case 3:
        return { ...ring, used: place(4) };
      default:
        return { ...ring, size: random.oneIn(2) ? random.below(2 * max) : random.u32() };
    }
  }

  /** A multiple of `align` near the guest's edges, inside it, or far away. */
  #somewhere(align: number): number {
    const { random } = this;
    const page = [0, FROZEN_PAGE, FROZEN_PAGE + 1, FROZEN_PAGE + 2, PAGES][random.below(5)] ?? 0;
    const near = GUEST_AT + page * PAGE - (random.oneIn(2) ? align * random.below(8) : 0);
    if (random.oneIn(6)) return random.u32() * 2 ** random.below(33);
    return random.oneIn(2) ? near : GUEST_AT + random.below((PAGES * PAGE) / align) * align;
  }

  #address(): bigint {
    const { random } = this;
    if (random.oneIn(8)) return BigInt.asUintN(64, -BigInt(random.below(2 * PAGE))); // wraps with any length
    return BigInt(Math.floor(this.#somewhere(1)));
  }

  #length(): number {
    const { random } = this;
    const lengths = [0, 1, random.below(64), random.below(9000), PAGE, 0xffff_ffff, 0xffff_ffff - random.below(PAGE)];
    return lengths[random.below(lengths.length)] ?? 0;
  }

  /** Offers `request` on queue `index`, in one of many ways, some of them wrong. */
  offer(index: number, request: Request): void {
    const { driver, random } = this;
    const ring = this.#rings[index];
    if (ring === undefined) return;
    this.chains++;
    const segments = random.oneIn(8 * this.#calm) ? this.#randomSegments() : this.#segments(request);
    if (random.oneIn(5 * this.#calm)) this.#spoil(segments);
    const head = this.#lay(ring, segments);
    this.#publish(ring, random.oneIn(60 * this.#calm) ? random.below(65536) : head);
    driver.write(REGISTER.notify, random.oneIn(60) ? random.u32() : index);
  }

  #randomSegments(): Segment[] {
    const { random } = this;
    return Array.from({ length: 1 + random.below(6) }, () => ({
      address: this.#address(),
      bytes: this.#length(),
      flags: random.oneIn(10) ? random.below(65536) : random.oneIn(2) ? DESCRIPTOR.write : 0,
    }));
  }

  #segments({ out, inBytes }: Request): Segment[] {
    const { driver, random } = this;
    const segments: Segment[] = [];
    const cut = (bytes: number, flags: number, fill: (address: number, at: number, part: number) => void): void => {
      const parts = 1 + random.below(3);
      for (let at = 0; at < bytes; ) {
        const rest = bytes - at;
        const part = Math.min(segments.length % 4 === parts ? rest : 1 + random.below(rest), DATA_BYTES);
        const address = DATA + random.below(DATA_BYTES - part + 1);
        fill(address, at, part);
        segments.push({ address: BigInt(address), bytes: part, flags });
        at += part;
      }
    };
    cut(out.byteLength, 0, (address, at, part) => {
      for (let done = 0; done < part; ) {
        const piece = Math.min(PAGE - ((address + done) % PAGE), part - done);
        driver.bytes.set(out.subarray(at + done, at + done + piece), driver.host(address + done));
        done += piece;
      }
    });
    cut(inBytes, DESCRIPTOR.write, () => undefined);
    return segments;
  }

  #spoil(segments: Segment[]): void {
    const { random } = this;
    const segment = segments[random.below(Math.max(1, segments.length))];
    switch (random.below(7)) {
      case 0:
        if (segment !== undefined) segment.address = this.#address();
        return;
      case 1:
        if (segment !== undefined) segment.bytes = this.#length();
        return;
      case 2:
        if (segment !== undefined) segment.flags ^= DESCRIPTOR.write;
        return;
      case 3:
        segments.reverse();
        return;
      case 4:
        segments.splice(random.below(segments.length + 1), 1);
        return;
      case 5: // as many as a table can have, and more
        while (segment !== undefined && segments.length < 1000 + random.below(40)) segments.push({ ...segment });
        return;
      default:
        segments.push({ address: this.#address(), bytes: this.#length(), flags: DESCRIPTOR.write });
    }
  }

  /** Writes the descriptors; the head. */
  #lay(ring: Ring, segments: readonly Segment[]): number {
    const { random } = this;
    const wrong = random.oneIn(20 * this.#calm);
    const entries = Math.max(1, Math.min(ring.size, RING_MAX));
    const isIndirect = segments.length > entries || random.oneIn(3);
    if (!isIndirect) {
      const head = this.#slot;
      for (const [i, segment] of segments.entries()) {
        const index = (head + i) % entries;
        const isLast = i === segments.length - 1;
        const next = wrong && random.oneIn(2) ? random.below(2 * entries) : (index + 1) % entries;
        const flags = segment.flags | (isLast !== (wrong && random.oneIn(4)) ? 0 : DESCRIPTOR.next);
        this.#describe(ring.descriptors, index, { ...segment, flags }, next);
      }
      this.#slot = (head + segments.length) % entries;
      return head % entries;
    }
    const count = Math.min(segments.length, 1030);
    const spare = Math.max(0, TABLE_PAGES * PAGE - count * 16);
    const table = TABLE + random.below(1 + Math.floor(spare / 16)) * 16;
    for (const [i, segment] of segments.slice(0, count).entries()) {
      const next = wrong && random.oneIn(2) ? random.below(2 * count) : i + 1;
      const more = i === count - 1 ? 0 : DESCRIPTOR.next;
      const nested = wrong && random.oneIn(4) ? DESCRIPTOR.indirect : 0;
      this.#describe(table, i, { ...segment, flags: segment.flags | more | nested }, next);
    }
    const head = this.#slot % entries;
    this.#slot = (head + 1) % entries;
    const descriptor = { address: BigInt(table), bytes: count * 16, flags: DESCRIPTOR.indirect as number };
    if (wrong) {
      const kind = random.below(4);
      if (kind === 0) descriptor.address = this.#address();
      if (kind === 1) descriptor.bytes = random.oneIn(2) ? this.#length() : count * 16 + random.below(16);
      if (kind === 2) descriptor.flags |= DESCRIPTOR.next;
      if (kind === 3) descriptor.flags |= DESCRIPTOR.write;
    }
    this.#describe(ring.descriptors, head, descriptor, random.below(entries));
    return head;
  }

  /** Writes a descriptor where the guest has memory. */
  #describe(table: number, index: number, { address, bytes, flags }: Segment, next: number): void {
    const at = this.driver.allowed(table + index * 16, STAGE2_RIGHTS.write);
    if (at < 0 || at % 16 !== 0) return;
    const { view } = this.driver;
    view.setBigUint64(at, address, true);
    view.setUint32(at + 8, bytes, true);
    view.setUint16(at + 12, flags, true);
    view.setUint16(at + 14, next, true);
  }

  #publish(ring: Ring, head: number): void {
    const { random } = this;
    const index = this.#half(ring.available + 2);
    if (index === undefined || ring.size === 0) return;
    this.#setHalf(ring.available + 4 + (index % ring.size) * 2, head);
    const step = random.oneIn(100 * this.#calm) ? random.below(65536) : random.oneIn(20 * this.#calm) ? 2 : 1;
    this.#setHalf(ring.available + 2, index + step);
    if (random.oneIn(8)) this.#setHalf(ring.available, random.below(3));
    if (random.oneIn(8)) this.#setHalf(ring.available + 4 + ring.size * 2, index + random.below(4));
  }

  #half(ipa: number): number | undefined {
    const at = this.driver.allowed(ipa, STAGE2_RIGHTS.write);
    return at < 0 || at % 2 !== 0 ? undefined : this.driver.view.getUint16(at, true);
  }
  #setHalf(ipa: number, value: number): void {
    const at = this.driver.allowed(ipa, STAGE2_RIGHTS.write);
    if (at >= 0 && at % 2 === 0) this.driver.view.setUint16(at, value & 0xffff, true);
  }

  /** What another processor of the guest does. */
  #change(): void {
    const { driver, random } = this;
    const ring = this.#rings[random.below(this.#rings.length)];
    if (ring === undefined) return;
    const entries = Math.max(1, Math.min(ring.size, RING_MAX));
    const segment = (): Segment => this.#randomSegments()[0] ?? { address: 0n, bytes: 0, flags: 0 };
    // In a calm life mostly what a device must put up with: data, events, the used ring, registers.
    switch (this.#calm === 1 || random.oneIn(20) ? random.below(9) : 4 + random.below(6)) {
      case 0:
        this.#describe(ring.descriptors, random.below(entries), segment(), random.below(entries + 1));
        return;
      case 1:
        this.#describe(TABLE, random.below((TABLE_PAGES * PAGE) / 16), segment(), random.below(8));
        return;
      case 2:
        this.#setHalf(ring.available + 2, (this.#half(ring.available + 2) ?? 0) + 1);
        return;
      case 3:
        this.#setHalf(ring.available + 4 + random.below(entries) * 2, random.below(entries + 1));
        return;
      case 4:
        this.#setHalf(ring.used + 2 * random.below(2), random.below(65536));
        return;
      case 5:
        this.#setHalf(ring.available + (random.oneIn(2) ? 0 : 4 + ring.size * 2), random.below(65536));
        return;
      case 6: {
        // A register, but none that waits for the device to leave: that is what it is doing.
        const registers = [REGISTER.driverFeatures, REGISTER.queueSelect, REGISTER.notify, REGISTER.descriptors];
        driver.write(registers[random.below(registers.length)] ?? REGISTER.notify, random.u32());
        return;
      }
      case 7:
        driver.write(REGISTER.config + random.below(64), random.below(256), 1);
        return;
      default:
        driver.bytes[driver.host(DATA + random.below(DATA_BYTES))] = random.below(256);
    }
  }

  // A driver that does everything right.

  /** Resets the device and sets up all its queues in order. */
  behave(): void {
    const { driver } = this;
    driver.negotiate(featureWords([FEATURE.version1, ...this.#features]));
    this.#rings = this.#queueSizes.map((max, index) => {
      const base = GUEST_AT + index * 2 * PAGE;
      for (let page = 0; page < 2; page++)
        driver.bytes.fill(0, driver.host(base + page * PAGE), driver.host(base + page * PAGE) + PAGE);
      const ring = { index, size: max, descriptors: base, available: base + PAGE, used: base + PAGE + 1024 };
      driver.setUp(ring);
      return ring;
    });
    driver.go();
  }

  /** Has queue `index` carry out `request`, as one chain; what was written into it, or undefined when it was not used. */
  exchange(index: number, { out, inBytes }: Request, turns: () => void): Uint8Array | undefined {
    const { driver } = this;
    const ring = this.#rings[index];
    if (ring === undefined || out.byteLength > PAGE || inBytes > PAGE) throw new Error('a request of a page at most');
    driver.bytes.set(out, driver.host(DATA));
    const segments = [
      ...(out.byteLength > 0 ? [{ address: DATA, bytes: out.byteLength, flags: 0 }] : []),
      ...(inBytes > 0 ? [{ address: DATA + PAGE, bytes: inBytes, flags: DESCRIPTOR.write as number }] : []),
    ];
    for (const [i, segment] of segments.entries()) {
      const flags = segment.flags | (i < segments.length - 1 ? DESCRIPTOR.next : 0);
      driver.describe(ring.descriptors, i, { ...segment, flags, next: i + 1 });
    }
    const { count } = driver.used(ring);
    driver.offer(ring, 0);
    driver.write(REGISTER.notify, index);
    this.batch(false, turns);
    const used = driver.used(ring);
    if (used.count !== ((count + 1) & 0xffff)) return undefined;
    const at = driver.host(DATA + PAGE);
    return driver.bytes.slice(at, at + Math.min(used.written, inBytes));
  }
}
