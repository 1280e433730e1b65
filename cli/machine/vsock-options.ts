/** `--vsock`: stream sockets between the guest (AF_VSOCK) and Unix sockets of the host. */
import { resolve } from 'node:path';
import { err, ok, type Result } from '../../bus/result.js';
import { GUEST_CID_MIN } from '../../devices/virtio-vsock/vsock.wire.js';

/** A socket device as the command line asks for it. */
export interface VsockRequest {
  /** The Unix socket that leads to the guest. */
  readonly path: string;
  readonly cid: number;
}

/** The last address that means nobody in particular. */
const CID_MAX = 0xffff_fffe;
/** Bytes of a Unix socket's name (sun_path), with `_PORT` behind it. */
const PATH_BYTES_MAX = 107 - '_4294967295'.length;

/** `PATH[,cid=N]`; a comma in a name is doubled. Undefined: no such device. The error is a sentence. */
export function parseVsock(text: string | undefined): Result<VsockRequest | undefined, string> {
  if (text === undefined) return ok(undefined);
  const [path = '', ...words] = text
    .replaceAll(',,', '\0')
    .split(',')
    .map((part) => part.replaceAll('\0', ','));
  if (path === '') return err('--vsock takes the name of a Unix socket, such as --vsock vm.sock');
  const full = resolve(path);
  if (Buffer.byteLength(full) > PATH_BYTES_MAX) {
    return err(`--vsock ${path}: the name of a socket has ${PATH_BYTES_MAX} bytes at most, with its folder`);
  }
  let cid = GUEST_CID_MIN;
  for (const word of words) {
    const found = /^cid=(\d{1,10})$/.exec(word);
    if (found === null) return err(`--vsock ${path}: "${word}" is not cid=N`);
    cid = Number(found[1]);
  }
  if (cid < GUEST_CID_MIN || cid > CID_MAX) return err(`--vsock ${path}: a cid is ${GUEST_CID_MIN} to ${CID_MAX}`);
  return ok({ path: full, cid });
}
