/** Limits shared by the system's lanes. */

/** Longest text in a report, a log line or a control message, in characters. */
export const CONTROL_TEXT_MAX = 600;

/**
 * handlerBudgetMs of a machine's actors. They are ended, and the machine with them, only for standing still far longer than
 * a busy host keeps a thread waiting: at the lowest priority beside six busy threads a vCPU got no processor for 2 seconds.
 */
export const MACHINE_HANDLER_BUDGET_MS = 20_000;
