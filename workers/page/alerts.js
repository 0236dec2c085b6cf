// The alerts: which there are, what the stream says of them, what a person does about one.

import { alertRow } from "./alert-row.js";
import { el, setText } from "./dom.js";
import { number, t } from "./i18n.js";

const MOST_ACTIVE = 6;
const MOST_OVER = 3;
const ANSWER_MS = 10_000;

const isOver = (alert) => alert.state === "cleared";

/** The panel of one track, or of every one where the track is `all`. */
export class AlertPanel {
  /**
   * @param {{section, count, list, more}} parts elements of the panel
   * @param {Function} onOpen gets the id of the alert that is opened, or null
   */
  constructor(parts, onOpen) {
    this.parts = parts;
    this.onOpen = onOpen;
    this.alerts = new Map();
    this.rows = new Map(); // id → [what it shows, element]
    this.pending = new Map(); // id → "asked" or "silent": a command that is not answered yet
    this.failure = null;
    this.read = false; // whether the alerts of the track have been read
    this.linked = false; // whether the alert that the address names was brought into view
    this.all = false;
    parts.more.addEventListener("click", () => {
      this.all = !this.all;
      this.show();
    });
  }

  /** Read the alerts of a track; `open` is the id of the one that is shown in full. */
  async load(track, open) {
    if (track !== this.track) {
      this.alerts.clear();
      this.read = false;
    }
    this.track = track;
    this.open = open;
    const query = new URLSearchParams({ limit: 100 });
    if (track !== "all") query.set("track", track);
    try {
      const { alerts } = await read(`/api/v1/alerts?${query}`);
      if (track !== this.track) return;
      for (const alert of alerts) this.#take(alert);
      this.failure = null;
      this.read = true;
      if (open && !this.alerts.has(open)) await this.#find(open);
    } catch (error) {
      if (track !== this.track) return;
      this.failure = error.message;
    }
    this.show();
    if (open && !this.linked) document.getElementById(`alert-${open}`)?.scrollIntoView({ block: "center" });
    this.linked = true;
  }

  /** Take in a state that the stream brought. */
  put(alert) {
    if (this.#take(alert)) this.show();
  }

  /** Draw what changed; in another language, everything. */
  show() {
    const { section, count, list, more } = this.parts;
    const ranked = [...this.alerts.values()].sort(byUrgency);
    const active = ranked.filter((alert) => !isOver(alert));
    const shown = this.all ? ranked : ranked.filter((alert) => alert.id === this.open
      || (isOver(alert) ? ranked.indexOf(alert) - active.length < MOST_OVER : ranked.indexOf(alert) < MOST_ACTIVE));
    section.dataset.active = String(active.length > 0);
    setText(count, active.length ? t("alerts.active", { count: number(active.length) }) : "");
    more.hidden = shown.length === ranked.length && !this.all;
    setText(more, this.all ? t("alerts.fewer") : t("alerts.more", { count: number(ranked.length - shown.length) }));
    this.#arrange(list, shown);
  }

  #arrange(list, shown) {
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset : null;
    const again = focused && `[data-alert="${CSS.escape(focused.alert ?? "")}"][data-do="${focused.do}"]`;
    const rows = shown.map((alert) => this.#row(alert));
    if (!shown.some((alert) => !isOver(alert))) {
      const calm = this.read ? t("alerts.none") : t("alerts.reading");
      const sentence = this.failure ? t("alerts.failed", { error: this.failure }) : calm;
      rows.unshift(el("li", { class: "quiet" }, sentence));
    }
    list.replaceChildren(...rows);
    if (again) list.querySelector(again)?.focus({ preventScroll: true });
  }

  #row(alert) {
    const open = alert.id === this.open;
    const pending = this.pending.get(alert.id) ?? null;
    const seen = JSON.stringify([alert.sequence, open, pending, this.track, document.documentElement.lang]);
    const [before, row] = this.rows.get(alert.id) ?? [];
    if (before === seen) return row;
    const made = alertRow(alert, { open, pending, withTrack: this.track === "all" }, {
      toggle: () => this.onOpen(open ? null : alert.id),
      command: (action) => this.#command(alert, action),
    });
    this.rows.set(alert.id, [seen, made]);
    return made;
  }

  #take(alert) {
    const known = this.alerts.get(alert.id);
    if (known && known.sequence >= alert.sequence) return false;
    this.alerts.set(alert.id, alert);
    this.pending.delete(alert.id);
    return true;
  }

  /** Read one that is older than those in the list; a link may be older than what is kept. */
  async #find(id) {
    const response = await fetch(`/api/v1/alerts/${encodeURIComponent(id)}`);
    if (response.ok) this.#take((await response.json()).alert);
  }

  /** Ask the monitor; its answer comes through the stream as the next state of the alert. */
  async #command(alert, action) {
    this.pending.set(alert.id, "asked");
    this.show();
    try {
      await read(`/api/v1/alerts/${encodeURIComponent(alert.id)}/${action}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: "{}",
      });
    } catch (error) {
      this.pending.set(alert.id, error.message);
      this.show();
      return;
    }
    setTimeout(() => {
      if (this.alerts.get(alert.id)?.sequence !== alert.sequence) return;
      this.pending.set(alert.id, t("alerts.silent"));
      this.show();
    }, ANSWER_MS);
  }
}

/** The active first, of these the unmuted, the most severe; then the newest. */
function byUrgency(a, b) {
  return isOver(a) - isOver(b)
    || (isOver(a) ? 0 : a.muted - b.muted || b.severity - a.severity)
    || Date.parse(b.updated_at) - Date.parse(a.updated_at)
    || (a.id < b.id ? -1 : 1);
}

async function read(address, options) {
  const response = await fetch(address, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}
