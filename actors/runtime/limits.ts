/** Limits shared by the system's lanes. */

/** Longest text in a report, a log line or a control message, in characters. */
export const CONTROL_TEXT_MAX = 600;
