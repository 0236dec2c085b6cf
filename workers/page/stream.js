// The event stream of one track: events in, states of the connection out.

const QUIET_MS = 12_000;
const RETRY_MS = 3_000;

/** Listens until closed; reconnects by itself, also where the server refuses for a while. */
export class Stream {
  /**
   * @param {string} address
   * @param {{snapshot: Function, delta: Function, alert: Function, state: Function}} on `state` gets
   *   (name, values): connecting, live, stale, reconnecting, unavailable, failed.
   */
  constructor(address, on) {
    this.address = address;
    this.on = on;
    this.heard = Date.now();
    this.watch = setInterval(() => this.#check(), 1000);
    this.#open();
  }

  close() {
    this.closed = true;
    clearInterval(this.watch);
    this.source.close();
  }

  #open() {
    this.source = new EventSource(this.address);
    for (const name of ["snapshot", "delta", "alert"]) {
      this.source.addEventListener(name, (event) => {
        this.#hear("live");
        this.on[name](JSON.parse(event.data));
      });
    }
    this.source.addEventListener("unavailable", () => this.#hear("unavailable"));
    this.source.onerror = () => this.#fail();
  }

  #hear(state) {
    this.heard = Date.now();
    this.on.state(state, {});
  }

  // The browser reconnects by itself after a broken connection, but not after a refusal.
  async #fail() {
    if (this.closed) return;
    this.on.state("reconnecting", {});
    if (this.source.readyState !== EventSource.CLOSED) return;
    const reason = await refusal(this.address);
    if (this.closed) return;
    if (reason?.code === "store") this.on.state("unavailable", {});
    else if (reason) this.on.state("failed", { error: reason.error });
    setTimeout(() => this.closed || this.#open(), RETRY_MS);
  }

  #check() {
    const quiet = Date.now() - this.heard;
    if (quiet > QUIET_MS) this.on.state("stale", { seconds: Math.round(quiet / 1000) });
  }
}

/** Why the server refuses the stream, {error, code}; null where it does not answer. */
async function refusal(address) {
  try {
    const response = await fetch(address, { method: "GET", headers: { Accept: "application/json" } });
    if (response.ok) {
      await response.body.cancel();
      return null;
    }
    return await response.json();
  } catch {
    return null;
  }
}
