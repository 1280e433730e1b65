/** The target description GDB asks for: aarch64 core and floating-point registers as it knows them, and our system registers. */

/** General registers, sp, pc and PSTATE; then v0 to v31, FPSR and FPCR: GDB's numbers. */
export const NUMBER = { sp: 31, pc: 32, cpsr: 33, v0: 34, fpsr: 66, fpcr: 67, system: 68 } as const;

const register = (name: string, bits: number, more = ''): string => `<reg name="${name}" bitsize="${bits}"${more}/>`;
const range = (count: number): readonly number[] => Array.from({ length: count }, (_, n) => n);

const FLAGS = [
  ...[
    ['SP', 0],
    ['EL', 2],
    ['nRW', 4],
    ['F', 6],
    ['I', 7],
    ['A', 8],
    ['D', 9],
  ],
  ...[
    ['IL', 20],
    ['SS', 21],
    ['PAN', 22],
    ['UAO', 23],
    ['V', 28],
    ['C', 29],
    ['Z', 30],
    ['N', 31],
  ],
] as const;

function flagsType(): string {
  const field = ([name, at]: readonly [string, number]): string =>
    `<field name="${name}" start="${at}" end="${name === 'EL' ? at + 1 : at}"/>`;
  return `<flags id="cpsr_flags" size="4">${FLAGS.map((flag) => field([String(flag[0]), Number(flag[1])])).join('')}</flags>`;
}

/** Views of a vector register: lanes of every size, as GDB's own description has them. */
function vectorTypes(): string {
  const lanes: readonly (readonly [string, string, number])[] = [
    ['v2d', 'ieee_double', 2],
    ['v2u', 'uint64', 2],
    ['v2i', 'int64', 2],
    ['v4f', 'ieee_single', 4],
    ['v4u', 'uint32', 4],
    ['v4i', 'int32', 4],
    ['v8f', 'ieee_half', 8],
    ['v8u', 'uint16', 8],
    ['v8i', 'int16', 8],
    ['v16u', 'uint8', 16],
    ['v16i', 'int8', 16],
    ['v1u', 'uint128', 1],
    ['v1i', 'int128', 1],
  ];
  const vectors = lanes.map(([id, type, count]) => `<vector id="${id}" type="${type}" count="${count}"/>`).join('');
  const union = (id: string, fields: readonly (readonly [string, string])[]): string =>
    `<union id="${id}">${fields.map(([name, type]) => `<field name="${name}" type="${type}"/>`).join('')}</union>`;
  return [
    vectors,
    union('vnd', [['f', 'v2d'], ['u', 'v2u'], ['s', 'v2i']]), // biome-ignore format: one row per union
    union('vns', [['f', 'v4f'], ['u', 'v4u'], ['s', 'v4i']]), // biome-ignore format: one row per union
    union('vnh', [['f', 'v8f'], ['u', 'v8u'], ['s', 'v8i']]), // biome-ignore format: one row per union
    union('vnb', [['u', 'v16u'], ['s', 'v16i']]), // biome-ignore format: one row per union
    union('vnq', [['u', 'v1u'], ['s', 'v1i']]), // biome-ignore format: one row per union
    union('aarch64v', [['d', 'vnd'], ['s', 'vns'], ['h', 'vnh'], ['b', 'vnb'], ['q', 'vnq']]), // biome-ignore format: one row per union
  ].join('');
}

/** The document; `system`: names of system registers, in the order of their numbers from NUMBER.system on. */
export function targetXml(system: readonly string[]): string {
  const general = range(31).map((n) => register(`x${n}`, 64));
  const vectors = range(32).map((n) => register(`v${n}`, 128, ' type="aarch64v"'));
  const rows = system.map((name, n) =>
    register(name, 64, ` regnum="${NUMBER.system + n}" group="system" save-restore="no"`),
  );
  return [
    '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">',
    '<architecture>aarch64</architecture>',
    `<feature name="org.gnu.gdb.aarch64.core">${flagsType()}${general.join('')}`,
    `${register('sp', 64, ' type="data_ptr"')}${register('pc', 64, ' type="code_ptr"')}`,
    `${register('cpsr', 32, ' type="cpsr_flags"')}</feature>`,
    `<feature name="org.gnu.gdb.aarch64.fpu">${vectorTypes()}${vectors.join('')}`,
    `${register('fpsr', 32)}${register('fpcr', 32)}</feature>`,
    `<feature name="org.wurley.aarch64.system">${rows.join('')}</feature></target>`,
  ].join('');
}
