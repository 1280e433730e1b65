/** What this host says of a file that it does not open, read or write, for a person. */

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of the path is no folder',
  EISDIR: 'it is a folder',
  EEXIST: 'it is there already',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system there is read-only',
  ENOSPC: 'no space is left there',
  EDQUOT: 'the quota is used up',
  EFBIG: 'the file system there takes no file so large',
  ELOOP: 'it is a loop of symbolic links',
  ENAMETOOLONG: 'it is too long a name',
  EMFILE: 'this process has too many files open',
};

/** The host's name for what was thrown, such as `ENOENT`; undefined where it has none. */
export const errnoOf = (thrown: unknown): string | undefined =>
  thrown instanceof Error && 'code' in thrown ? String(thrown.code) : undefined;

/** The same, or what was thrown as text. */
export const hostCode = (thrown: unknown): string => errnoOf(thrown) ?? String(thrown);

/** A code in words, with the code behind them; one that has none as it is. */
export function codeInWords(code: string): string {
  const words = WORDS[code];
  return words === undefined ? code : `${words} (${code})`;
}

/** Why the host has refused, in words. */
export const hostReason = (thrown: unknown): string => codeInWords(hostCode(thrown));
