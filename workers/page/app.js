// The page: what is chosen, what the stream says, and when to draw it.

import { AlertPanel } from "./alerts.js";
import { Chart, emotionOption, polarityOption, volumeOption, volumeParts } from "./charts.js";
import { el, press, setText } from "./dom.js";
import { chartLabel, showBreakdown, showFigures, showHeadline, showLegend, showPolarityLegend, waitingRecords } from "./figures.js";
import { emotionName, fullMoment, number, preferredLanguage, t, useLanguage } from "./i18n.js";
import { readPosts, showMessage, showPosts } from "./posts.js";
import { EMOTIONS, POLARITIES, Series } from "./series.js";
import { Stream } from "./stream.js";

// ECharts empties elements by assigning innerHTML = "". Nothing else may be assigned, by anyone.
window.trustedTypes?.createPolicy("default", { createHTML: (markup) => (markup === "" ? "" : null) });

const SPANS = { "1h": 3600, "6h": 21600, "24h": 86400, all: null };
const POSTS_EVERY_MS = 4000;
const BEHIND_RECORDS = 500;
const REVEAL_MS = 3000;
const CURRENT = ["connecting", "live", "behind"]; // states of the badge in which the figures are those of now

const byId = (id) => document.getElementById(id);
const chosen = choicesOfAddress();
const charts = {
  emotion: new Chart(byId("emotion-chart")),
  polarity: new Chart(byId("polarity-chart")),
  volume: new Chart(byId("volume-chart")),
};
const alerts = new AlertPanel({
  section: byId("alerts"),
  count: byId("alerts-count"),
  list: byId("alert-list"),
  more: byId("alerts-more"),
}, (alert) => choose({ alert }));
let live = null; // {series, totals, freshness, lag}, as the stream has told it
let stream = null;
let state = ["connecting", {}];
let drawing = false;
let postsDue = 0;
let postsRead = null; // aborts the reading under way
let tracksRead = false;
let pointed = false; // whether a mouse rests on the posts: then they stay where they are
let postsShown = ""; // what the list holds, so that it is left alone where nothing changed

function choicesOfAddress() {
  const query = new URLSearchParams(location.search);
  const one = (name, allowed) => (allowed.includes(query.get(name)) ? query.get(name) : allowed[0]);
  return {
    track: query.get("track") ?? "all",
    range: one("range", ["24h", "1h", "6h", "all"]),
    mode: one("mode", ["counts", "shares"]),
    by: one("by", ["platforms", "languages"]),
    emotion: EMOTIONS.includes(query.get("emotion")) ? query.get("emotion") : null,
    alert: query.get("alert"),
  };
}

function choose(change) {
  Object.assign(chosen, change);
  const query = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value !== null));
  history.replaceState(null, "", `?${query}`);
  if ("track" in change || "range" in change) listen();
  if ("track" in change || "emotion" in change) refreshPosts();
  if ("alert" in change) alerts.load(chosen.track, chosen.alert);
  draw();
}

function listen() {
  stream?.close();
  live = null;
  setState("connecting", {});
  const query = new URLSearchParams({ track: chosen.track });
  if (SPANS[chosen.range]) query.set("span", SPANS[chosen.range]);
  stream = new Stream(`/api/v1/stream?${query}`, {
    snapshot: onSnapshot,
    delta: onDelta,
    alert: (alert) => alerts.put(alert),
    state: setState,
  });
}

function onSnapshot(snapshot) {
  live = { series: new Series(snapshot), ...statusOf(snapshot) };
  if (!tracksRead || !trackKnown(chosen.track)) readTracks();
  // Why there is none to show is known only now.
  if (live.totals.posts && !byId("posts").querySelector("article")) refreshPosts();
  else refreshPostsSoon();
  // What changed while the stream was away is not told again.
  alerts.load(chosen.track, chosen.alert).then(reveal);
  draw();
}

/** Show what stands below the alerts; without an answer about them, after a while all the same. */
function reveal() {
  delete byId("main").dataset.alerts;
  draw();
}

function onDelta(delta) {
  if (!live || delta.step !== live.series.step) return;
  const first = !live.totals.posts && delta.totals.posts;
  live.series.apply(delta, SPANS[chosen.range] !== null);
  Object.assign(live, statusOf(delta));
  if (first) readTracks();
  if (delta.buckets.length) refreshPostsSoon();
  draw();
}

const statusOf = ({ totals, freshness, lag, stale, stale_since, behind }) =>
  ({ totals, freshness, lag, stale, staleSince: stale_since, behind });

function setState(name, values) {
  state = [name, values];
  drawBadge();
}

function drawBadge() {
  let [name, values] = state;
  const records = live ? waitingRecords(live.lag) : 0;
  if (name === "live" && live?.stale) {
    const { staleSince: since, behind } = live;
    const missing = behind ? t("badge.old.missing", { events: number(behind) }) : "";
    [name, values] = since ? ["old", { time: fullMoment(Date.parse(since) / 1000), missing }] : ["rebuilding", { missing }];
  } else if (name === "live" && records > BEHIND_RECORDS) [name, values] = ["behind", { records: number(records) }];
  byId("badge").dataset.state = name;
  byId("main").dataset.current = String(CURRENT.includes(name));
  const text = t(`badge.${name}`, values);
  setText(byId("badge-text"), text);
}

/** Draw at the next frame, however many events came before it. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawNow();
  });
}

function drawNow() {
  drawBadge();
  press(byId("range"), chosen.range);
  press(byId("mode"), chosen.mode);
  press(byId("volume-by"), chosen.by);
  const filter = byId("clear-filter");
  filter.hidden = chosen.emotion === null;
  if (chosen.emotion) filter.textContent = t("posts.filter", { emotion: emotionName(chosen.emotion) });
  byId("main").setAttribute("aria-busy", String(!live || "alerts" in byId("main").dataset));
  if (!live) return;
  const view = { ...live, sum: live.series.sum(), range: chosen.range };
  showHeadline(view);
  showFigures(view);
  showBreakdown(view, chosen.emotion, toggleEmotion);
  showPolarityLegend(view);
  drawCharts(view);
}

function drawCharts(view) {
  const unit = t(`unit.${chosen.mode}`);
  const named = (names, group, key) => names.map((name) => ({ name: t(`${key}.${name}`), posts: view.sum[group][name] ?? 0 }));
  const series = view.series.readable(...(chosen.mode === "shares" ? [40, 8] : [10, 24]));
  charts.emotion.show(emotionOption(series, chosen.mode),
    chartLabel("emotion.label", view, { unit }, named(EMOTIONS, "emotions", "emotion")));
  charts.polarity.show(polarityOption(series, chosen.mode),
    chartLabel("polarity.label", view, { unit }, named(POLARITIES, "polarity", "polarity")));
  const parts = volumeParts(view.sum, chosen.by);
  showLegend(byId("volume-legend"), parts.map((part, index) => ({ ...part, color: `volume-${index}` })), view.sum.posts);
  charts.volume.show(volumeOption(view.series.readable(10, 24), chosen.by, parts),
    chartLabel("volume.label", view, { by: t(`volume.${chosen.by}`) }, parts));
}

const toggleEmotion = (name) => choose({ emotion: chosen.emotion === name ? null : name });

function refreshPostsSoon() {
  if (postsDue) return;
  if (!postsRead) refreshPosts();
  postsDue = setTimeout(() => {
    postsDue = 0;
    if (pointed || byId("posts").matches(":focus-within")) refreshPostsSoon();
    else refreshPosts();
  }, POSTS_EVERY_MS);
}

async function refreshPosts() {
  clearTimeout(postsDue);
  postsDue = 0;
  postsRead?.abort();
  postsRead = new AbortController();
  const { track, emotion } = chosen;
  const list = byId("posts");
  try {
    const posts = await readPosts(track, emotion, postsRead.signal);
    const counted = Boolean(live?.totals.posts);
    const seen = JSON.stringify([posts, document.documentElement.lang, emotion, counted]);
    if (postsShown === seen) return;
    postsShown = seen;
    showPosts(list, posts, emotion, counted);
  } catch (error) {
    if (error.name === "AbortError") return;
    postsShown = "";
    const reason = error.code === "store" ? t("badge.unavailable") : error.message;
    showMessage(list, t("posts.failed", { error: reason }));
  }
}

const trackKnown = (track) => [...byId("track").options].some((option) => option.value === track);

async function readTracks() {
  const response = await fetch("/api/v1/tracks");
  tracksRead = response.ok;
  const { tracks } = response.ok ? await response.json() : { tracks: [] };
  const names = tracks.includes(chosen.track) ? tracks : [...tracks, chosen.track];
  byId("track").replaceChildren(...names.map((name) =>
    el("option", { value: name, selected: name === chosen.track }, name === "all" ? t("track.all") : name)));
}

async function setLanguage(tag, remember) {
  await useLanguage(tag, remember);
  await readTracks();
  draw();
  alerts.show();
  refreshPosts();
}

function wire() {
  for (const [id, name] of [["range", "range"], ["mode", "mode"], ["volume-by", "by"]]) {
    byId(id).addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) choose({ [name]: button.value });
    });
  }
  byId("track").addEventListener("change", (event) => choose({ track: event.target.value, alert: null }));
  byId("posts").addEventListener("pointerenter", (event) => (pointed = event.pointerType === "mouse"));
  byId("posts").addEventListener("pointerleave", () => (pointed = false));
  byId("clear-filter").addEventListener("click", () => choose({ emotion: null }));
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => setLanguage(button.dataset.language, true));
  }
  charts.emotion.onSeries((id) => EMOTIONS.includes(id) && toggleEmotion(id));
  // A browser gives a host six connections: pages that nobody looks at must not hold them.
  document.addEventListener("visibilitychange", () => (document.hidden ? stream?.close() : listen()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}

wire();
setTimeout(reveal, REVEAL_MS);
await setLanguage(preferredLanguage(), false);
if (!document.hidden) listen();
