/**
 * `wurley lab`, what `npm start` runs: the example lab with its own guests, which needs nothing downloaded and ends by itself. Shows
 * consoles, a live table of the queues, and at the end what the messages cost.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Subject } from 'rxjs';
import { VmHost } from '../host/vm-host.js';
import { readLab } from '../lab/lab-file.js';
import type { QueueStatistics } from '../lab/lab-statistics.js';
import { serveLab } from '../lab/serve-lab.js';
import { freeSocket, socketFolder } from '../lab/socket-path.js';
import { queueTable } from '../lab/statistics-table.js';
import { EXIT_SOFTWARE, type Terminal, type Verb } from '../program.js';
import { onTermination } from '../terminal/raw-terminal.js';

/** From dist/cli/commands, in a checkout as in an installed package. */
const FILE = new URL('../../../cli/lab/examples/three-vms.yaml', import.meta.url);
const LOOK_MS = 500;
/** The guests need some seconds; whatever holds them up longer is a fault. */
const DEADLINE_MS = 180_000;

/** See the file comment. */
export const addEmbeddedLab: Verb = (program, terminal, done) => {
  program
    .command('lab')
    .description('boot three small VMs of our own that exchange messages; ends by itself')
    .action(async () => done(await embeddedLab(terminal)));
};

async function embeddedLab(terminal: Terminal): Promise<number> {
  const refuse = (what: string, exitCode: number = EXIT_SOFTWARE): number => {
    terminal.err(`wurley: ${what.replace(/\.?$/, '.')}\n`);
    return exitCode;
  };
  const startedMs = performance.now();
  const file = fileURLToPath(FILE);
  const lab = readLab(file, readFileSync(file, 'utf8'));
  if (!lab.ok) return refuse(lab.error);
  const host = await VmHost.start({
    primaryGuest: true,
    onLog: (line) => terminal.err(`${line.name}: ${line.text}\n`),
  });
  if (!host.ok) return refuse(host.error);
  const socket = await freeSocket(socketFolder(process.env), lab.value.name);
  const interrupts = new Subject<void>();
  let exitCode: number | undefined;
  // The second signal ends the VMs at once, in order all the same: the control socket goes with them.
  const interrupt = (code: number): void => {
    exitCode ??= code;
    interrupts.next();
  };
  const release = onTermination(interrupt, (code) => {
    interrupt(code);
    return true;
  });
  let isLate = false;
  const deadline = setTimeout(() => {
    isLate = true;
    interrupts.next();
  }, DEADLINE_MS);
  terminal.out(
    'Three VMs under Gunyah: primary lends memory to echo, which it starts; client sends to both. Ctrl-C ends early.\n\n',
  );
  // A queue is gone when one of its VMs is: what is shown at the end is what was seen last.
  const seen = new Map<number, QueueStatistics>();
  const firstMs = new Map<number, number>();
  let lastMs = 0;
  const end = await serveLab({
    // Another one runs already: then this one has no control socket.
    ...{ lab: lab.value, file, host: host.value, socket: socket.ok ? socket.value : undefined },
    ...{ metricsPort: undefined, stays: false, interrupts, nowMs: () => performance.now() },
    display: { isTTY: terminal.isTTY, columns: terminal.columns, isQuiet: false, write: terminal.out },
    onServed({ running, watch, display }) {
      const looking = watch.every(LOOK_MS).subscribe(({ queues }) => {
        for (const queue of queues) {
          if (queue.from === 'rm' || queue.to === 'rm') continue;
          seen.set(queue.object, queue);
          if (!firstMs.has(queue.object)) firstMs.set(queue.object, performance.now());
          lastMs = performance.now();
        }
        display.footer = [
          '',
          ...queueTable([...seen.values()])
            .trimEnd()
            .split('\n'),
        ];
      });
      running.changes.subscribe(() => {
        if (running.isOver) looking.unsubscribe();
      });
    },
  });
  clearTimeout(deadline);
  release();
  if (!end.ok) return refuse(end.error);
  if (isLate) return refuse(`the lab did not end by itself within ${DEADLINE_MS / 1000} s`);
  if (exitCode !== undefined) return exitCode;
  const [failed] = [...end.value.crashed, ...end.value.reset];
  if (failed !== undefined) return refuse(failed);
  const queues = [...seen.values()].map((queue) => {
    const ms = lastMs - (firstMs.get(queue.object) ?? 0);
    return { ...queue, perSecond: ms > 0 ? (queue.sent * 1000) / ms : 0 };
  });
  const messages = queues.reduce((sum, { sent }) => sum + sent, 0);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  terminal.out(`\n${queueTable(queues)}\n${messages.toLocaleString('en')} messages between three VMs in ${seconds} s.`);
  terminal.out(' p50 to max: from the send of a message to the return of its receive.\n');
  return 0;
}
