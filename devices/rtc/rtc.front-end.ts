/** The PL031's registers on a vCPU's thread. The alarm is looked at whenever a vCPU pauses, and limits its sleep. */
import type { FrontEndFactory } from '../../actors/shared-state/mmio/front-end.js';
import type { AccessBytes } from '../registers/register-file.js';
import { SharedRegisters } from '../registers/shared-registers.js';
import { Pl031 } from './pl031.js';

/** What the front end needs. */
export interface RtcFrontEndConfig {
  readonly registers: SharedArrayBuffer;
  readonly intid: number;
}

const rtcFrontEnd: FrontEndFactory = (config, services) => {
  // WHY: the machine builder made the config for this module.
  const { registers, intid } = config as RtcFrontEndConfig;
  let alarmAt: number | undefined;
  const rtc = new Pl031({
    unixSeconds: services.unixSeconds,
    setLevel: (high) => services.setLine(intid, high),
    setAlarm(inSeconds) {
      alarmAt = inSeconds === undefined ? undefined : services.unixSeconds() + inSeconds;
    },
  });
  const shared = new SharedRegisters(registers, rtc.state);
  return {
    read: (offset, bytes) => BigInt(shared.with(() => rtc.read(offset, bytes as AccessBytes)) >>> 0),
    write(offset, bytes, value) {
      shared.with(() => rtc.write(offset, bytes as AccessBytes, Number(BigInt.asUintN(32, value))));
    },
    settle() {
      if (alarmAt !== undefined && services.unixSeconds() >= alarmAt) shared.with(() => rtc.alarmDue());
    },
    dueInMs: () => (alarmAt === undefined ? Number.POSITIVE_INFINITY : (alarmAt - services.unixSeconds()) * 1000),
  };
};
export default rtcFrontEnd;
