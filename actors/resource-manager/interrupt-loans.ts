/** Interrupts one VM has lent to another, by handle (gunyah.md 5.11). */

/** One loan. */
export interface InterruptLoan {
  readonly handle: number;
  readonly owner: number;
  readonly borrower: number;
  readonly virq: number;
  readonly label: number;
  /** The number the borrower sees, once it has accepted. */
  accepted: number | undefined;
}

/** All loans. */
export class InterruptLoans {
  readonly #loans = new Map<number, InterruptLoan>();
  #next = 1;

  get(handle: number): InterruptLoan | undefined {
    return this.#loans.get(handle);
  }
  all(): readonly InterruptLoan[] {
    return [...this.#loans.values()];
  }
  add(owner: number, borrower: number, virq: number, label: number): InterruptLoan {
    const loan = { handle: this.#next++, owner, borrower, virq, label, accepted: undefined };
    this.#loans.set(loan.handle, loan);
    return loan;
  }
  delete(handle: number): void {
    this.#loans.delete(handle);
  }
  /** A VM has gone: what it lent ends, what it borrowed is released. */
  forget(vmid: number): void {
    for (const loan of this.all()) {
      if (loan.owner === vmid) this.#loans.delete(loan.handle);
      else if (loan.borrower === vmid) loan.accepted = undefined;
    }
  }
}
