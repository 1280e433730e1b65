/** What runs in the guest, and the stream that is sent both ways: the same bytes from both ends' own arithmetic. */
import { createHash } from 'node:crypto';

const MIB = 1 << 20;

/** MiB `index` of the stream: SHA-512 of its number, over and over. */
export function streamChunk(index: number): Uint8Array {
  const block = createHash('sha512').update(String(index)).digest();
  const chunk = Buffer.alloc(MIB);
  for (let at = 0; at < MIB; at += block.length) block.copy(chunk, at);
  return chunk;
}

/** `python3 -c ... PORT`: prints how much came and its SHA-256. No single quotes, for the shell. */
export const PYTHON_DOWNLOAD = `
import hashlib, socket, sys
s = socket.create_connection(("10.0.2.2", int(sys.argv[1])))
h = hashlib.sha256(); n = 0
while True:
    b = s.recv(1 << 20)
    if not b: break
    h.update(b); n += len(b)
print(n, h.hexdigest())
`;

/** `python3 -c ... PORT MIB`: sends the stream, and waits for the answer. */
export const PYTHON_UPLOAD = `
import hashlib, socket, sys
s = socket.create_connection(("10.0.2.2", int(sys.argv[1])))
for i in range(int(sys.argv[2])):
    s.sendall(hashlib.sha512(str(i).encode()).digest() * (1 << 14))
s.shutdown(socket.SHUT_WR)
print(s.recv(100))
`;

/** Prints one line that tells that Python works: integers, a module of its library in C, text. */
export const PYTHON_SCRIPT = `import json
total = sum(range(1000000))
print("sum", total, "json", json.dumps([1, "two"], separators=(",", ":")))
`;
