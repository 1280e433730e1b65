/** The files of a VM: what it boots, read and checked, and what its devices use, open for as long as it lives. */
import type { FileRights, FileStore, FileToken } from '../../actors/runtime/files.js';
import { err, ok, type Result } from '../../bus/result.js';
import type { NamedBytes } from '../../devices/machine/boot-plan.js';
import { cacheFolder } from '../cache-folder.js';
import { imageArguments } from '../image/boot-arguments.js';
import { findImage } from '../image/store.js';
import type { VmSpec } from '../lab/lab-host.js';
import { readBootFile } from '../machine/boot-files.js';
import type { LocalNetworks } from '../machine/local-network.js';
import type { VirtioChoice } from '../machine/virtio-devices.js';
import type { VirtioRequest } from '../machine/virtio-options.js';

/** What a VM starts with. */
export interface BootFiles {
  readonly kernel: NamedBytes;
  readonly initrd: NamedBytes | undefined;
  readonly bootArguments: string;
}

/** Reads what `spec` boots; the error is a sentence. */
export async function readBoot(spec: VmSpec): Promise<Result<BootFiles, string>> {
  const { boot, memoryBytes } = spec;
  let [kernelPath, initrdPath, bootArguments] = ['', undefined as string | undefined, spec.append];
  if ('image' in boot) {
    const image = await findImage(cacheFolder(), boot.image);
    if (image === undefined) return err(`the image ${boot.image} is not here; pull it first (wurley image pull)`);
    kernelPath = image.kernelPath;
    initrdPath = image.initrdPath;
    bootArguments = `${imageArguments(spec.console === 'virtio')} ${spec.append}`.trimEnd();
  } else {
    kernelPath = boot.kernel;
    initrdPath = boot.initrd;
  }
  const kernel = await readBootFile(kernelPath, 'kernel', memoryBytes);
  if (!kernel.ok) return kernel;
  if (initrdPath === undefined) return ok({ kernel: kernel.value, initrd: undefined, bootArguments });
  const initrd = await readBootFile(initrdPath, 'initrd', memoryBytes);
  return initrd.ok ? ok({ kernel: kernel.value, initrd: initrd.value, bootArguments }) : initrd;
}

/** The devices of `spec` in the order of their slots. */
export function virtioRequests(spec: VmSpec): readonly VirtioRequest[] {
  const requests: VirtioRequest[] = [];
  if (spec.console === 'virtio') requests.push({ kind: 'console' });
  if (spec.rng) requests.push({ kind: 'rng' });
  for (const { file, readOnly, snapshot } of spec.disks) {
    const disk = { path: file, isReadOnly: readOnly, format: undefined, anyBacking: false };
    requests.push({ kind: 'disk', disk, isThrowAway: snapshot && !readOnly });
  }
  for (const { kind, switchName } of spec.networks) {
    const name = kind === 'switch' ? switchName : undefined;
    const network = { switchName: name, mac: undefined, published: [], capturePath: undefined };
    requests.push({ kind: 'net', network });
  }
  return requests;
}

/** Gives the cards among `choices` their places at the switches of this process; they go back with `files`. */
export async function connectCards(
  choices: readonly VirtioChoice[],
  networks: LocalNetworks,
  user: string,
  files: OwnedFiles,
): Promise<Result<readonly VirtioChoice[], string>> {
  const connected: VirtioChoice[] = [];
  for (const choice of choices) {
    if (choice.kind !== 'net' || choice.network.switchName === undefined) {
      connected.push(choice);
      continue;
    }
    const port = await networks.port(choice.network.switchName, user);
    if (!port.ok) return port;
    files.alsoClose(() => port.value.close());
    connected.push({ kind: 'net', network: { ...choice.network, port: port.value } });
  }
  return ok(connected);
}

/** A store that knows what was opened through it, so that all of it can be closed. */
export class OwnedFiles implements FileStore {
  readonly #store: FileStore;
  readonly #open: FileToken[] = [];
  readonly #closes: (() => void)[] = [];

  constructor(store: FileStore) {
    this.#store = store;
  }

  open(path: string, rights: FileRights): ReturnType<FileStore['open']> {
    const opened = this.#store.open(path, rights);
    if (opened.ok) this.#open.push(opened.value);
    return opened;
  }
  openFolder(path: string, rights: FileRights): ReturnType<FileStore['openFolder']> {
    const opened = this.#store.openFolder(path, rights);
    if (opened.ok) this.#open.push(opened.value);
    return opened;
  }
  get openCount(): number {
    return this.#open.length;
  }
  use(token: FileToken): ReturnType<FileStore['use']> {
    return this.#store.use(token);
  }
  close(token: FileToken): void {
    this.#store.close(token);
  }
  /** Calls `close` with {@link closeAll}. */
  alsoClose(close: () => void): void {
    this.#closes.push(close);
  }
  /** Closes what is open. */
  closeAll(): void {
    for (const close of this.#closes.splice(0)) close();
    for (const token of this.#open.splice(0)) this.#store.close(token);
  }
}
