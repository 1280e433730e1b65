/** Small Debian packages, one for each way their data can be packed: a kernel, a module, a link and a long name. */
import { gzipSync } from 'node:zlib';
import { hostUnpackers } from '../../cli/image/unpackers.js';

/** The tar archive below, packed by `xz --check=crc32` and `zstd -19`. */
const TAR_XZ =
  '/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4Cf/AbRdABcLvBx9AZW//VLrSRW/ePpNk5rK1Fc083fIKEx2Ib2Ah1FWnJ7n4u3JkOciJxzCADMzQhw7qWn41oFHcJBnalq0rD0+SFKHkUQYgd7L7+1BS+/mmS5moV/IPpAycj/xQ/eZ3EqWcl9tfr3gVKLV+2k3XWW1ljw5ZYQS5VczhGA2yrVeIG9cSWqnRUnsK1xYTCC1mQmOVD5rHqfyGGihHwS2SW8MDnuH02cHw24E2ZrjY2CMCYxwfzy4L7Vl5sdseyxEMsRJgeMsx/F04wyLBUG4dyKpVRrZQfA0UXQHUQ27Ybvxakj7z0r54RcpLjTPgfMQl2YaagzBackzfsDZgqoLUgMvAvPAFdb3S7ePisCDTVoPGPoc3Q/nS6+Neamvhw2EzaEvtUZQrU2gx1w/jOufUmH//LknoekTidX+XjmKy4e9AR6Tq/+0G73vFJcg82prfkVnifn+Nd5BE+4BnLfys7/rXZiQJyIlO5wV1Q5dERAgtZ3U50psjedrcwn5wft2Yu/id6OvFxpIVcgXCwuFgtNpBlS48SHemRPUGRYd1Yc0cErvitOdFf7Glna8kh9umQAAl59UKAABzAOAUAAASeg6Yz4wDYsCAAAAAAFZWg==';
const TAR_ZSTD =
  'KLUv/WQAJ2UOAEQWLi8AMDY0NAAwNjAzNwAgNQB1c3RhciAgAC4vYm9vdC92bWxpbnV6LTYuMS4wMzExMTA2NgAgMAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj9AQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2BhYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ent8fX5/gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp+goaKjpKWmp6ipqqusra6vsLGys7S1tre4ubq7vL2+v8DBwsPExcbHAC4vbGliL21vZHVsZXMvL2tlcm5lbC9hLmtvNDYyNzU1f0VMRnVzci9iaW4vbGluazE3MDJidXN5Ym94Li9ATG9uZ0wyNDcwNzc2MAAgTHNoYXJlL2xvbmduYW1lMTIzMDQwMHgkINBMJiPlAf2jh3mlgNPu2ICq+jIO2DHCAKTgilRSyQOlOMABgKFy5ZEVzNMAJsDEt65yweAA/oBMcwgK1PyskjEqKYLFAE6JABVUkgZVglF5O6wNMGX0KA5myrcSOMCgAOYTdgO0Xdhd';

/** An `ar` archive of these members (ar(5)). */
function ar(members: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const parts: Buffer[] = [Buffer.from('!<arch>\n')];
  for (const [name, bytes] of members) {
    const header = `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}`;
    parts.push(Buffer.from(`${header}${String(bytes.length).padEnd(10)}\`\n`), Buffer.from(bytes));
    if (bytes.length % 2 === 1) parts.push(Buffer.from('\n'));
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** A package whose data is packed as `name` says. */
function deb(name: string, data: Uint8Array): Uint8Array {
  return ar([
    ['debian-binary', Buffer.from('2.0\n')],
    ['control.tar', new Uint8Array(1024)],
    [name, data],
  ]);
}

/** The archive in the packages, unpacked. */
export async function sampleTar(): Promise<Uint8Array> {
  const tar = await hostUnpackers.xz(Buffer.from(TAR_XZ, 'base64'), 1 << 20);
  if (!tar.ok) throw new Error(tar.error);
  return tar.value;
}

/** The packages by the way their data is packed. */
export async function samplePackages(): Promise<readonly (readonly [string, Uint8Array])[]> {
  const tar = await sampleTar();
  return [
    ['plain', deb('data.tar', tar)],
    ['gzip', deb('data.tar.gz', gzipSync(tar))],
    ['xz', deb('data.tar.xz', Buffer.from(TAR_XZ, 'base64'))],
    ['zstd', deb('data.tar.zst', Buffer.from(TAR_ZSTD, 'base64'))],
  ];
}
