/**
 * What a lab file may say, declared once: the check and the JSON Schema for editors come from it. Sizes and names that JSON
 * Schema cannot relate to each other (links to VMs that there are, one primary VM) are checked in lab-file.ts.
 */
import { z } from 'zod';
import { PROFILES } from '../../actors/abi/gunyah/identity.js';
import { CPUS_MAX } from '../../devices/machine/memory-map.js';

/** Limits of a lab. */
const VMS_MAX = 64;
const LINKS_MAX = 256;
const DISKS_MAX = 16;
const NETWORKS_MAX = 4;
const RESTARTS_MAX = 1000;
const WITHIN_SECONDS_MAX = 86_400;
/** What gunyah.md section 3 allows a queue. */
const QUEUE_DEPTH_MAX = 255;
const MESSAGE_BYTES_MAX = 1023;

const NAME = /^[a-z][a-z0-9-]{0,31}$/;
const name = z
  .string()
  .regex(NAME, 'takes a name of lower-case letters, digits and "-", beginning with a letter, of 32 characters at most');
const SIZE = /^\d{1,9}[kmgKMG]?$/;
const size = (about: string) =>
  z
    .union([z.string().regex(SIZE, 'takes a size such as 64M'), z.number().int().positive()], {
      error: 'takes a size such as 64M',
    })
    .describe(`${about}, as 64M, 1G or a number of MiB`);

const policy = z.enum(['never', 'on-failure', 'always']);
const restart = z
  .union(
    [
      policy,
      z.strictObject({
        policy,
        max: z.int().min(1).max(RESTARTS_MAX).optional().describe('restarts within the time; the next end is final'),
        within: z.int().min(1).max(WITHIN_SECONDS_MAX).optional().describe('seconds'),
      }),
    ],
    { error: 'takes never, on-failure, always, or {policy, max, within}' },
  )
  .describe('when the VM is started again: on-failure is after a crash or a reset, always also after a power off');

const disk = z.strictObject({
  file: z.string().min(1).describe('raw or qcow2 image, relative to this file'),
  readOnly: z.boolean().optional(),
  snapshot: z.boolean().optional().describe('what the guest writes is thrown away'),
});

const vm = z.strictObject({
  kernel: z.string().min(1).optional().describe('arm64 Image, ELF64 or flat binary, relative to this file'),
  image: z.string().min(1).optional().describe('an image of the catalog, such as debian:6.1-cloud'),
  initrd: z.string().min(1).optional(),
  append: z.string().max(2048).optional().describe('kernel command line'),
  memory: size('memory of the VM').optional(),
  cpus: z.int().min(1).max(CPUS_MAX).optional(),
  platform: z.enum(['virt', 'gunyah']).optional(),
  profile: z.enum(PROFILES).optional().describe('driver generation of a VM on the platform gunyah'),
  primary: z.boolean().optional().describe('VMID 3: may make VMs of its own through the resource manager'),
  root: z.boolean().optional().describe('may put VMs together by hypercalls: holds its own partition; needs primary'),
  console: z.enum(['pl011', 'virtio']).optional(),
  disks: z.array(disk).max(DISKS_MAX).optional(),
  networks: z
    .array(z.string().regex(/^(user|switch:[a-z][a-z0-9-]{0,31})$/, 'takes user or switch:NAME'))
    .max(NETWORKS_MAX)
    .optional(),
  rng: z.boolean().optional(),
  restart: restart.optional(),
});

const link = z.strictObject({
  queue: z
    .array(name)
    .length(2)
    .optional()
    .describe('the two VMs at a pair of message queues; one VM twice: a queue to itself'),
  doorbell: z.strictObject({ from: name, to: name }).optional(),
  memory: z.array(name).min(2).max(8).optional().describe('the VMs that share memory'),
  depth: z.int().min(1).max(QUEUE_DEPTH_MAX).optional().describe('messages each direction of a queue holds'),
  messageBytes: z.int().min(1).max(MESSAGE_BYTES_MAX).optional().describe('bytes of the longest message of a queue'),
  size: size('bytes of shared memory').optional(),
  writers: z.array(name).max(8).optional().describe('who may write the shared memory; absent: all'),
});

const lab = z.strictObject({
  name: name.optional().describe("the lab's name for `wurley --lab`; absent: that of the file"),
  vms: z
    .record(name, vm)
    .refine((vms) => Object.keys(vms).length > 0, 'names no VM')
    .refine((vms) => Object.keys(vms).length <= VMS_MAX, `names more than ${VMS_MAX} VMs`),
  links: z
    .record(name, link)
    .refine((links) => Object.keys(links).length <= LINKS_MAX, `names more than ${LINKS_MAX} links`)
    .optional(),
});

/** A lab file whose shape has been checked. */
export type LabText = z.infer<typeof lab>;
/** One of its links. */
export type LinkText = z.infer<typeof link>;

/** Something in a lab file that is not as it should be. */
export interface ShapeFault {
  /** Keys and indices from the top to the value at fault. */
  readonly path: readonly (string | number)[];
  /** True when the key is at fault and not its value. */
  readonly isKey: boolean;
  /** What is wrong, to follow the field's name: `takes ...`. */
  readonly text: string;
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

function textOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `takes ${KINDS[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `takes ${issue.values.map(String).join(', ')}`;
    case 'too_small':
    case 'too_big': {
      const bound =
        issue.code === 'too_small' ? `${String(issue.minimum)} or more` : `${String(issue.maximum)} or fewer`;
      if (issue.origin === 'array') return `takes ${bound} entries`;
      return issue.origin === 'string' ? `takes ${bound} characters` : `takes a number of ${bound}`;
    }
    default:
      return issue.message;
  }
}

/** Checks the shape; the faults in no particular order. */
export function checkShape(value: unknown): { readonly lab: LabText } | { readonly faults: readonly ShapeFault[] } {
  const parsed = lab.safeParse(value, { reportInput: true });
  if (parsed.success) return { lab: parsed.data };
  const faults = parsed.error.issues.flatMap((issue): ShapeFault[] => {
    const path = issue.path.filter((part) => typeof part !== 'symbol');
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ path: [...path, key], isKey: true, text: 'is not known' }));
    }
    if (issue.code === 'invalid_key') {
      return [{ path, isKey: true, text: issue.issues.map((inner) => inner.message).join('; ') }];
    }
    return [{ path, isKey: false, text: textOf(issue) }];
  });
  return { faults };
}

/** The JSON Schema (draft 2020-12) of a lab file. */
export function labJsonSchema(): object {
  return { title: 'Wurley lab', ...z.toJSONSchema(lab) };
}
