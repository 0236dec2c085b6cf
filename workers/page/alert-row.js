// One alert: what happened and why in a line, and behind it the evidence. Words that strangers
// wrote (terms, hashtags, posts) are set as text and nothing else.

import { el } from "./dom.js";
import { clock, emotionName, languageName, moment, number, percent, platformName, t } from "./i18n.js";
import { card } from "./posts.js";
import { drawSparkline } from "./sparkline.js";

const MINUTE = 60;
const TERMS = 6;
const PARTS = 4;
const CONFLICT = 0.5;

/**
 * @param {object} alert
 * @param {{open: boolean, pending: string|null, withTrack: boolean}} view
 * @param {{toggle: Function, command: Function}} on
 */
export function alertRow(alert, view, on) {
  const over = alert.state === "cleared";
  const spark = el("div", { class: "spark", role: "img", "aria-label": t("alerts.spark") });
  drawSparkline(spark, alert);
  return el("li", {
    id: `alert-${alert.id}`,
    class: "alert",
    "data-state": alert.state,
    "data-muted": alert.muted,
    "data-level": over ? "over" : alert.severity >= 7 ? "high" : alert.severity >= 4 ? "middle" : "low",
  },
  el("div", { class: "alert-line" },
    el("span", { class: "severity", title: t("alerts.severity", { severity: alert.severity }) },
      el("span", { class: "hidden" }, t("alerts.severity", { severity: alert.severity })),
      el("span", { "aria-hidden": "true" }, String(alert.severity))),
    el("div", { class: "alert-what" },
      el("h3", {}, button(alert, "toggle", nameOf(alert, view.withTrack), on.toggle, { class: "alert-name", "aria-expanded": String(view.open) })),
      el("p", { class: "alert-why" }, figures(alert)),
      el("p", { class: "alert-when" }, ...marks(alert))),
    spark,
    el("div", { class: "alert-acts" }, ...acts(alert, view, on))),
  view.pending && view.pending !== "asked" ? el("p", { class: "alert-problem", role: "status" }, view.pending) : null,
  view.open ? evidence(alert) : null);
}

/** The name of what spiked: an emotion, a polarity or the number of posts. */
export function seriesName(series) {
  const [kind, name] = series.split(":");
  if (kind === "volume") return t("alerts.volume");
  return kind === "emotion" ? emotionName(name) : t("alerts.polarity", { polarity: t(`polarity.${name}`) });
}

function nameOf(alert, withTrack) {
  const values = { series: seriesName(alert.series), track: alert.track === "all" ? t("track.all") : alert.track };
  return t(withTrack ? "alerts.name.track" : "alerts.name", values);
}

function figures(alert) {
  const shown = (value) => (alert.unit === "share" ? percent(Math.max(0, value), 1) : number(Math.max(0, value), value > 0 && value < 10 ? 1 : 0));
  const values = {
    observed: shown(alert.observed),
    expected: shown(alert.expected),
    low: shown(alert.low),
    high: shown(alert.high),
  };
  // A minute is named by its start, as in the charts.
  const minute = clock(Date.parse(alert.updated_at) / 1000 - MINUTE);
  return t(alert.state === "cleared" ? `alerts.was.${alert.unit}` : `alerts.is.${alert.unit}`, { ...values, minute });
}

function marks(alert) {
  const seconds = (value) => Date.parse(value) / 1000;
  const said = [alert.cleared_at
    ? t("alerts.over", { from: moment(seconds(alert.onset)), to: clock(seconds(alert.cleared_at)) })
    : t("alerts.since", { from: moment(seconds(alert.onset)) }),
  t("alerts.posts", { posts: number(alert.posts), until: clock(seconds(alert.updated_at)) })];
  if (alert.late_posts) said.push(t("alerts.late", { posts: number(alert.late_posts) }));
  if (alert.evidence.organic !== null) said.push(t(alert.evidence.organic ? "alerts.organic" : "alerts.amplified"));
  if (alert.acknowledged) {
    said.push(t("alerts.acknowledged", { by: alert.acknowledged.by, time: clock(seconds(alert.acknowledged.at)) }));
  }
  if (alert.muted) said.push(t("alerts.muted"));
  return said.map((text) => el("span", {}, text));
}

function acts(alert, view, on) {
  const busy = view.pending === "asked";
  const act = (action) => button(alert, action, t(`alerts.do.${action}`), () => on.command(action), { class: "act", disabled: busy });
  const found = [];
  if (alert.state !== "cleared") found.push(act(alert.acknowledged ? "unacknowledge" : "acknowledge"));
  if (alert.state !== "cleared" || alert.muted) found.push(act(alert.muted ? "unmute" : "mute"));
  return found;
}

function button(alert, name, text, does, attributes) {
  const node = el("button", { type: "button", "data-alert": alert.id, "data-do": name, ...attributes }, text);
  node.addEventListener("click", does);
  return node;
}

/** What changed against before, where it comes from, and the posts. */
function evidence(alert) {
  const { evidence: found } = alert;
  const facts = el("dl", { class: "facts" });
  const fact = (key, ...said) => said.length && facts.append(el("div", {}, el("dt", {}, t(key)), el("dd", {}, ...said)));
  fact("alerts.terms", ...terms(found.terms));
  fact("alerts.hashtags", ...terms(found.hashtags));
  fact("alerts.languages", ...parts(found.languages, languageName));
  fact("alerts.platforms", ...parts(found.platforms, platformName));
  fact("alerts.spread", ...spread(found));
  if (found.conflict !== null && found.conflict >= CONFLICT) {
    fact("alerts.conflict", t("alerts.conflict.note", { conflict: number(found.conflict, 2) }));
  }
  fact("alerts.rule", t("alerts.rule.note", { rule: alert.rule, deviation: number(alert.deviation, 1) }));
  const posts = el("ol", { class: "post-list alert-posts", "aria-label": t("alerts.exemplars") });
  showExemplars(posts, alert);
  return el("div", { class: "alert-detail" }, facts, posts);
}

function terms(list) {
  return list.slice(0, TERMS).map((term) => el("span", { class: "term" },
    el("b", { dir: "auto" }, term.term), " ",
    el("span", { class: "n" }, t("alerts.term", { now: percent(term.now, 1), before: percent(term.before, 1) }))));
}

function parts(shares, nameOf_) {
  return Object.entries(shares)
    .sort((a, b) => b[1] - a[1])
    .slice(0, PARTS)
    .map(([name, share]) => el("span", { class: "term" }, `${nameOf_(name)} `, el("span", { class: "n" }, percent(share, 1))));
}

function spread(found) {
  const said = [];
  if (found.organic !== null) said.push(el("b", {}, t(found.organic ? "alerts.organic" : "alerts.amplified")));
  if (found.repost_share !== null) said.push(t("alerts.reposts", { share: percent(found.repost_share, 1) }));
  if (found.near_duplicate_share !== null) said.push(t("alerts.copies", { share: percent(found.near_duplicate_share, 1) }));
  return said.map((part) => el("span", { class: "term" }, part));
}

async function showExemplars(list, alert) {
  const say = (sentence) => list.replaceChildren(el("li", { class: "empty" }, sentence));
  if (!alert.evidence.exemplars.length) return say(t("alerts.exemplars.none"));
  say(t("alerts.exemplars.reading"));
  try {
    const response = await fetch(`/api/v1/alerts/${encodeURIComponent(alert.id)}`);
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
    if (!answer.posts.length) return say(t("alerts.exemplars.gone"));
    list.replaceChildren(...answer.posts.map((post) => el("li", {}, card(post))));
  } catch (error) {
    say(t("posts.failed", { error: error.message }));
  }
}
