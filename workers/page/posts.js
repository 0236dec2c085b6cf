// The newest posts. Their text is a stranger's: it is set as text and nothing else.

import { el, swatch } from "./dom.js";
import { emotionName, languageName, moment, number, percent, platformName, signed, t } from "./i18n.js";

const CONFLICT = 0.5;
const LIMIT = 12;
const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  text: "M3 4h10M3 8h10M3 12h6",
  image: "M2.5 3.5h11v9h-11zM2.5 11l3.5-3.5 3 3 2-2 2.5 2.5",
  audio: "M3 6.5v3M6 4v8M9 6v4M12 3v10",
};

/** Read the newest posts of a track, of one emotion or of all. */
export async function readPosts(track, emotion, signal) {
  const query = new URLSearchParams({ track, limit: LIMIT });
  if (emotion) query.set("emotion", emotion);
  const response = await fetch(`/api/v1/posts?${query}`, { signal });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { code: answer.code });
  return answer.posts;
}

/** Show posts; an empty list says why it is empty. */
export function showPosts(list, posts, emotion, counted) {
  if (!posts.length) {
    showMessage(list, t(emotion ? "posts.empty.emotion" : counted ? "posts.empty.silent" : "posts.empty"));
    return;
  }
  list.replaceChildren(...posts.map((post) => el("li", {}, card(post))));
}

/** Show a sentence in place of posts. */
export function showMessage(list, sentence) {
  list.replaceChildren(el("li", { class: "empty" }, sentence));
}

/** One post: what it says, what the model says of it, where it is from. */
export function card(post) {
  const picture = post.media.find((media) => media.picture);
  return el("article", { class: "post", "data-post": post.id },
    el("header", {},
      ...(post.dominant ? verdict(post) : [el("span", { class: "chip" }, t("silent.unread"))]),
      el("span", { class: "modalities" }, ...post.modalities.map(modality))),
    el("div", { class: "body" }, words(post), picture ? image(picture) : null),
    flags(post),
    el("footer", {},
      el("time", { datetime: post.created_at }, moment(Date.parse(post.created_at) / 1000)),
      el("span", {}, platformName(post.platform)),
      el("span", {}, languageName(post.lang)),
      original(post.url)));
}

function verdict(post) {
  const sure = percent(post.confidence, 1);
  return [
    el("span", { class: "chip" }, swatch(post.dominant), emotionName(post.dominant),
      el("span", { class: "confidence", title: t("posts.confidence", { confidence: sure }) }, sure)),
    el("span", { class: "polarity", "data-polarity": post.polarity },
      t(`polarity.${post.polarity}`), " ", el("span", { class: "confidence" }, signed(post.sentiment))),
  ];
}

function words(post) {
  if (post.missing) return el("p", { class: "text absent" }, t(`posts.missing.${post.missing}`));
  if (!post.text) return el("p", { class: "text absent" }, t("posts.textless"));
  return el("p", { class: "text", lang: post.lang, dir: "auto" }, post.text + (post.truncated ? " …" : ""));
}

function image(media) {
  return el("img", { src: media.picture, alt: media.alt ?? t("posts.picture"), loading: "lazy", width: 88, height: 88 });
}

function modality(name) {
  const icon = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name] ?? "");
  icon.setAttribute("viewBox", "0 0 16 16");
  icon.setAttribute("aria-hidden", "true");
  icon.append(path);
  const label = t(`modality.${name}`);
  return el("span", { class: "modality", role: "img", "aria-label": label, title: label }, icon);
}

function flags(post) {
  const said = [];
  if (post.dominant && post.abstained) said.push(t("posts.abstained"));
  if (post.conflict >= CONFLICT) said.push(t("posts.conflict", { conflict: number(post.conflict, 2) }));
  return said.length ? el("p", { class: "flags" }, said.join(" · ")) : null;
}

function original(url) {
  if (!url || !/^https?:\/\//i.test(url)) return null;
  return el("a", { href: url, target: "_blank", rel: "noopener noreferrer nofollow ugc" }, t("posts.original"));
}
