/** A lab from its file's content to its end: host, control socket, VMs, display; the part of `wurley up` that is not options. */
import { merge, type Observable, Subject, takeUntil } from 'rxjs';
import { err, ok, type Result } from '../../bus/result.js';
import { type ControlServer, startControlServer, startMetricsServer } from './control-server.js';
import { type DisplayOptions, LabDisplay } from './lab-display.js';
import type { Lab } from './lab-file.js';
import type { LabHost } from './lab-host.js';
import { LabWatch } from './lab-statistics.js';
import { type Member, RunningLab } from './running-lab.js';

/** How a lab is served. */
export interface ServeOptions {
  readonly lab: Lab;
  readonly file: string;
  readonly host: LabHost;
  /** Absent: no control socket. */
  readonly socket: string | undefined;
  /** Port of 127.0.0.1 for /metrics. */
  readonly metricsPort: number | undefined;
  readonly display: DisplayOptions;
  readonly nowMs: () => number;
  /** Goes on when every VM has ended. */
  readonly stays: boolean;
  /** Asked to end: 1 in order, then at once. */
  readonly interrupts: Observable<unknown>;
  /** Hears of the lab when it is served and before its VMs start. */
  readonly onServed?: (served: ServedLab) => void;
}

/** A lab that is served. */
export interface ServedLab {
  readonly running: RunningLab;
  readonly watch: LabWatch;
  readonly display: LabDisplay;
  readonly metricsPort: number | undefined;
}

/** How it ended: the reasons of its VMs. */
export interface LabEnd {
  readonly crashed: readonly string[];
  readonly reset: readonly string[];
  /** The user ended it. */
  readonly interrupted: boolean;
}

const GRACE_MS = 10_000;
const STATUS_MS = 1000;

/** Serves until it is over. The error is a sentence. */
export async function serveLab(options: ServeOptions): Promise<Result<LabEnd, string>> {
  const { lab, host, nowMs, socket, file } = options;
  const running = new RunningLab(lab, host, nowMs);
  const watch = new LabWatch(running, nowMs);
  const over = new Subject<void>();
  let ending: Promise<void> | undefined;
  let interrupted = false;
  const down = async (graceMs: number): Promise<void> => {
    interrupted = true;
    ending ??= running.down(graceMs);
    await ending;
    over.next();
  };
  const control = { running, watch, file, nowMs, down };
  const servers: ControlServer[] = [];
  const close = async (): Promise<void> => {
    over.next();
    watch.close();
    ending ??= running.down(0);
    await ending;
    for (const server of servers) await server.close();
  };
  if (socket !== undefined) {
    const server = await startControlServer(socket, control);
    if (!server.ok) {
      await close();
      return server;
    }
    servers.push(server.value);
  }
  let metricsPort: number | undefined;
  if (options.metricsPort !== undefined) {
    const server = await startMetricsServer(options.metricsPort, control);
    if (!server.ok) {
      await close();
      return server;
    }
    servers.push(server.value);
    metricsPort = server.value.port;
  }
  const display = new LabDisplay(running, options.display);
  options.interrupts.pipe(takeUntil(over)).subscribe(() => {
    if (ending === undefined) {
      display.print('wurley: the lab is ended; once more ends it at once');
      void down(GRACE_MS);
    } else running.hurry();
  });
  if (options.display.isTTY) {
    watch
      .every(STATUS_MS)
      .pipe(takeUntil(over))
      .subscribe((statistics) => display.update(statistics));
  }
  options.onServed?.({ running, watch, display, metricsPort });
  const started = await running.start();
  if (started.ok) await finished(running, over, options.stays, () => ending !== undefined);
  await ending;
  await close();
  display.close();
  if (!started.ok) return err(started.error);
  const members = [...running.members.values()];
  const ended = (reason: string, of: readonly Member[]): string[] =>
    of.filter(({ end }) => end?.reason === reason).map(({ name, why }) => `${name} ${why}`);
  // When a guest resets VMs of its own, that is its business.
  const own = members.filter(({ spec }) => spec !== undefined);
  return ok({ crashed: ended('crash', members), reset: ended('reset', own), interrupted });
}

/** Waits until every VM has ended (unless it stays) or somebody ended the lab. */
async function finished(
  running: RunningLab,
  over: Subject<void>,
  stays: boolean,
  isEnding: () => boolean,
): Promise<void> {
  const isOver = (): boolean => isEnding() || (!stays && running.isOver);
  if (isOver()) return;
  await new Promise<void>((resolve) => {
    const done = new Subject<void>();
    merge(running.changes, over)
      .pipe(takeUntil(done))
      .subscribe(() => {
        // Others who hear of the same change may start the VM again: they have their say first.
        setImmediate(() => {
          if (!isOver()) return;
          done.next();
          resolve();
        });
      });
  });
}
